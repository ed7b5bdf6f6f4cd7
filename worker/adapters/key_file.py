"""The file with the keys of the embedded set-up."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from worker.adapters.vault import new_key

KEY_FILE = "secret.keys"


def generated_keys(data_dir: Path) -> list[str]:
    """Keys of the embedded set-up, made once in a directory that is there, for their owner only."""
    path = data_dir / KEY_FILE
    if not path.exists():
        draft = data_dir / f"{KEY_FILE}.{os.getpid()}"
        draft.touch(mode=0o600)
        draft.write_text(new_key() + "\n")
        # Linking is atomic: of two processes that start together one makes the key.
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(draft)
        draft.unlink()
    return path.read_text().split()
