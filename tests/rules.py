"""Which test names which rule: `python -m tests.rules` prints the table."""

from __future__ import annotations

import ast
import re
import sys
from collections import defaultdict
from pathlib import Path

#: Rules that this version keeps (the directory's rule ids, then the guarantees).
KEPT = (
    *("S1", "S2", "U1", "U2", "U3", "U4", "U6", "U7", "U8"),
    *("G1", "G5", "G7", "G8", "E2", "E3", "E4", "E5", "E6", "E8", "C1", "C2", "C3"),
)
_ID = re.compile(r"(?:^|_)([a-z]\d+)(?=_)")


def named() -> dict[str, list[str]]:
    """Tests by the ids in their names."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in sorted(Path(__file__).parent.rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                for rule in _ID.findall(node.name.removeprefix("test")):
                    found[rule.upper()].append(f"{path.name}::{node.name}")
    return found


def main() -> None:
    """Print the table as Markdown."""
    tests = named()
    lines = ["| id | tests |", "|---|---|"]
    lines += [f"| {rule} | {'<br>'.join(tests[rule])} |" for rule in sorted(tests)]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
