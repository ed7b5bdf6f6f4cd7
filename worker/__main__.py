"""`python -m worker` and the `rosterd` command."""

from __future__ import annotations

from worker.cli.main import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
