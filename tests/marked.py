"""Secrets that can be recognised anywhere, and an installation that has one of every kind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from tests.preloaded import Popen
from tests.servers import await_true


def spellings(secret: str | bytes) -> set[bytes]:
    """A secret as it is, and as hexadecimal figures, base 64 or an address would have it."""
    raw = secret.encode() if isinstance(secret, str) else secret
    return {
        raw,
        raw.hex().encode(),
        b64encode(raw).rstrip(b"="),
        urlsafe_b64encode(raw).rstrip(b"="),
        quote(raw).encode(),
    }


class Hunt:
    """Secrets by name, and where each was found."""

    def __init__(self) -> None:
        self.secrets: dict[str, set[bytes]] = {}

    def secret(self, name: str, value: str | bytes | None = None) -> str:
        """A secret to look for: one that is given, or a new one that nothing else contains."""
        made = value or f"marked-{re.sub(r'[^a-z]+', '-', name)}-{os.urandom(6).hex()}"
        self.secrets[name] = spellings(made)
        return made if isinstance(made, str) else made.decode("latin-1")

    def key(self, name: str) -> str:
        """A key for ROSTERD_SECRET_KEYS whose very bytes are looked for."""
        raw = os.urandom(32)
        self.secrets[name] = spellings(raw)
        return urlsafe_b64encode(raw).decode()

    def found_in(self, places: Mapping[str, bytes]) -> list[str]:
        """`secret in place` for each that is in clear somewhere."""
        return sorted(
            f"{name} in {place}"
            for place, text in places.items()
            for name, ways in self.secrets.items()
            if any(way in text for way in ways)
        )


class Process:
    """A process of rosterd's as the Procfile starts it, with everything it said."""

    def __init__(self, log: Path, words: tuple[str, ...], environment: Mapping[str, str]) -> None:
        self.log = log
        with log.open("wb") as said:
            self._process = Popen(
                [sys.executable, "-m", "worker", *words],
                env={**os.environ, **environment},
                stdout=said,
                stderr=said,
            )

    def said(self) -> str:
        return self.log.read_text("utf-8", "replace")

    def await_said(self, pattern: str) -> None:
        """Wait for a line; the error shows everything else that was said."""
        try:
            await_true(lambda: re.search(pattern, self.said()), seconds=60, name=pattern)
        except TimeoutError as error:
            raise AssertionError(f"{pattern} is not in:\n{self.said()}") from error

    def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10)


Start = Callable[..., Process]


@contextmanager
def processes(folder: Path) -> Iterator[Start]:
    """Starts processes, and stops them at the end; their logs are in the folder, by name."""
    running: list[Process] = []

    def start(name: str, *words: str, **environment: str) -> Process:
        process = Process(folder / f"{name}.log", words, environment)
        running.append(process)
        return process

    folder.mkdir()
    try:
        yield start
    finally:
        for process in running:
            process.stop()
