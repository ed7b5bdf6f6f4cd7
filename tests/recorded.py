"""Bodies of real senders, which are not ours to keep in this repository."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def recorded() -> Path:
    """Their folder; without one the test is skipped, which says how to name it."""
    folder = Path(os.environ.get("ROSTERD_TEST_PAYLOADS", "../shared/payloads"))
    folder = (ROOT / folder).resolve()
    if not folder.is_dir():
        pytest.skip(
            "no recorded payloads: set ROSTERD_TEST_PAYLOADS to their folder "
            "(default ../shared/payloads beside the repository)"
        )
    return folder


if __name__ == "__main__":
    from tests.recorded_table import main

    main(recorded())
