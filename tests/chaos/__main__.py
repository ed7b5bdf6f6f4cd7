"""`python -m tests.chaos`: the chaos table of the README."""

from __future__ import annotations

import argparse
import json
import sys

from tests.chaos.play import BROKERS, play


def main() -> int:
    """Print a line per broker; 0 if nothing was lost, doubled or different."""
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument("--broker", choices=[*BROKERS], action="append")
    ask.add_argument("--people", type=int, default=1600)
    ask.add_argument("--kills", type=int, default=280)
    ask.add_argument("--faults", type=int, default=32)
    ask.add_argument("--seed", type=int, default=1)
    asked = ask.parse_args()
    bad = 0
    for broker in asked.broker or BROKERS:
        told = play(
            broker, people=asked.people, kills=asked.kills, faults=asked.faults, seed=asked.seed
        )
        print(json.dumps(told.row), flush=True)
        print("  kills:", dict(sorted(told.kills.items())))
        print("  faults:", dict(sorted(told.faults.items())))
        print("  answers:", dict(told.answers), f"broken batches: {told.broken}, dead: {told.dead}")
        bad += told.lost + told.doubled + told.differing
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
