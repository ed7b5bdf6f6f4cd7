"""A parser that breaks, put into a worker from outside: no line of rosterd knows.

While the file that ROSTERD_DRILL_BREAKS names exists, nothing of the source `standard` is parsed.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import os
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

MODULE = "worker.adapters.sources.standard"
BREAKS = os.environ.get("ROSTERD_DRILL_BREAKS", "")


class _Loader(importlib.abc.Loader):
    def __init__(self, real: importlib.abc.Loader) -> None:
        self._real = real

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._real.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._real.exec_module(module)
        parse = module.StandardSource.parse

        def breaking(*args: Any) -> Any:
            if Path(BREAKS).exists():
                raise ZeroDivisionError("a drill")
            return parse(*args)

        module.StandardSource.parse = breaking


class _Finder(importlib.abc.MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != MODULE:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader)
        return spec


if BREAKS:
    sys.meta_path.insert(0, _Finder())
