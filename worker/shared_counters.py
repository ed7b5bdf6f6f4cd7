"""Where processes count together. Loads nothing: prometheus_client looks there as it is loaded."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

#: prometheus_client keeps counters in files of this folder, so that processes share them.
SHARED_FOLDER = "PROMETHEUS_MULTIPROC_DIR"


def share_counters(folder: Path) -> dict[str, str]:
    """What the environment of processes must hold to count together; yesterday's files go."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700, parents=True)
    return {SHARED_FOLDER: str(folder)}


def shared_folder() -> Path | None:
    """Where this process counts together with others; None where it counts alone."""
    folder = os.environ.get(SHARED_FOLDER)
    return Path(folder) if folder else None
