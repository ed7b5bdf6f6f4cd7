"""Puts together the root folder of the image: Python, rosterd, what they load, and nothing else.

    python image_root.py TARGET ENVIRONMENT

TARGET is made; ENVIRONMENT is the virtual environment that rosterd is installed in. Everything
lies in TARGET where it lay before. What is not named here is not in the image: no shell, no
package manager, no compiler. Raises SystemExit where a library is not to be found.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

ELF = b"\x7fELF"
#: Parts of the standard library that nobody runs here.
UNUSED = ("config-*", "dist-packages", "ensurepip", "idlelib", "lib2to3", "pydoc_data")
UNUSED = (*UNUSED, "site-packages", "test", "tkinter", "turtledemo", "venv", "_tkinter.*")
#: glibc loads it by name when a thread ends: no program lists it.
UNLISTED = "libgcc_s.so.1"
CERTIFICATES = Path("/etc/ssl/certs")
#: Where Debian's OpenSSL looks; links to /etc/ssl.
OPENSSL = Path("/usr/lib/ssl")
#: Celery reads its own zone, UTC, from there.
ZONES = Path("/usr/share/zoneinfo")
NAMES = ("/etc/protocols", "/etc/services", "/etc/ssl/openssl.cnf")
WRITTEN = {
    "etc/group": "root:x:0:\nrosterd:x:10001:\n",
    "etc/nsswitch.conf": "hosts: files dns\n",
    "etc/passwd": (
        "root:x:0:0::/:/sbin/nologin\nrosterd:x:10001:10001::/var/lib/rosterd:/sbin/nologin\n"
    ),
}


def main() -> None:
    """Copy, and tell the loader where its libraries are."""
    target, environment = (Path(word).absolute() for word in sys.argv[1:])
    _copy_tree(environment, target, "?ctivate*")
    python = _copy_with_links(environment / "bin" / "python", target)
    library = Path(sysconfig.get_path("stdlib"))
    _copy_tree(library, target, *UNUSED)
    _copy_tree(ZONES, target, "posix", "right")
    _copy_libraries(target, [python, *_programs(environment), *_programs(library)])
    _copy_certificates(target)
    for path in (Path(name) for name in NAMES):
        if path.exists():
            _copy_file(path, target)
    for name, text in WRITTEN.items():
        (target / name).write_text(text, encoding="utf-8")
    for folder in ("dev", "proc", "sys", "tmp", "var/lib"):
        (target / folder).mkdir(parents=True, exist_ok=True)
    (target / "tmp").chmod(0o1777)


def _in(target: Path, path: Path) -> Path:
    return target / path.relative_to("/")


def _copy_tree(folder: Path, target: Path, *without: str) -> None:
    ignored = shutil.ignore_patterns("__pycache__", *without)
    shutil.copytree(folder, _in(target, folder), symlinks=True, ignore=ignored, dirs_exist_ok=True)


def _copy_file(path: Path, target: Path) -> None:
    _in(target, path).parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(path, _in(target, path))


def _copy_with_links(path: Path, target: Path) -> Path:
    """The file and each link on the way to it; where it is."""
    while path.is_symlink():
        copy = _in(target, path)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.unlink(missing_ok=True)
        copy.symlink_to(path.readlink())
        path = path.parent / path.readlink()
    _copy_file(path, target)
    return path


def _programs(folder: Path) -> Iterator[Path]:
    """Everything below the folder that the loader has to load libraries for."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            with path.open("rb") as opened:
                if opened.read(4) == ELF:
                    yield path


def _copy_libraries(target: Path, programs: list[Path]) -> None:
    needed = {
        library
        for program in programs
        if _in(target, program).exists()
        for library in _libraries(program)
    }
    gcc = next(path.parent / UNLISTED for path in needed if path.name.startswith("libc.so"))
    missing = sorted(path for path in {*needed, gcc} if not _in(target, path).exists())
    for library in missing:
        _copy_file(library, target)
    folders = sorted({str(library.parent) for library in missing})
    (target / "etc").mkdir(exist_ok=True)
    (target / "etc" / "ld.so.conf").write_text("\n".join(folders) + "\n", encoding="utf-8")
    subprocess.run(["/sbin/ldconfig", "-X", "-r", str(target)], check=True)  # noqa: S603 - the loader's own index


def _libraries(program: Path) -> Iterator[Path]:
    """What the loader would load with it; those that are linked to nothing have none."""
    done = subprocess.run(  # noqa: S603 - a fixed program, a file of ours
        ["/usr/bin/ldd", str(program)], capture_output=True, text=True, check=False
    )
    for line in done.stdout.splitlines():
        if "not found" in line:
            raise SystemExit(f"{program} needs {line.strip()}")
        if found := re.search(r"(/\S+) \(0x", line):
            yield Path(found.group(1))


def _copy_certificates(target: Path) -> None:
    """The authorities that TLS trusts: links become files, for what they point to stays behind."""
    shutil.copytree(CERTIFICATES, _in(target, CERTIFICATES), dirs_exist_ok=True)
    if OPENSSL.is_dir():
        ignored = shutil.ignore_patterns("misc", "private")
        shutil.copytree(OPENSSL, _in(target, OPENSSL), symlinks=True, ignore=ignored)


if __name__ == "__main__":
    main()
