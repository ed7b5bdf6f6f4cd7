"""The image: what the builder is sent suffices, and what is built of it serves every page."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import venv
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from importlib.util import cache_from_source
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx2
import pytest

from tests.conftest import missing
from tests.deploy.context import ROOT, let_through
from tests.preloaded import run
from tests.servers import await_true, free_port

DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8").splitlines()
APART = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--map-root-user"]
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")


def copied() -> Iterator[str]:
    """Every source that the Dockerfile copies from the build context."""
    for line in DOCKERFILE:
        if line.startswith("COPY ") and "--from" not in line:
            yield from shlex.split(line)[1:-1]


def test_the_builder_is_sent_everything_that_is_copied_and_nothing_else() -> None:
    sent, sources = set(let_through()), set(copied())
    for source in sources:
        assert source in sent or any(name.startswith(f"{source}/") for name in sent), source
    assert len(sources) > 5
    spare = {name for name in sent if not {name, name.partition("/")[0]} & sources}
    assert spare == set()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built of nothing but what the builder is sent, and unpacked."""
    source, made, site = (tmp_path_factory.mktemp(name) for name in ("source", "made", "site"))
    for name in let_through():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, source / name)
    build = "import sys; from setuptools import build_meta as b; b.build_wheel(sys.argv[1])"
    subprocess.run(
        [sys.executable, "-c", build, str(made)], cwd=source, check=True, capture_output=True
    )
    (file,) = made.glob("*.whl")
    with zipfile.ZipFile(file) as opened:
        opened.extractall(site)
    for file in site.rglob("*.py"):
        source = ROOT / file.relative_to(site)
        if source.read_bytes() == file.read_bytes():
            _copy(source, file)
    return site


def _copy(source: Path, target: Path) -> None:
    """With what Python has compiled of it, so that nobody here compiles all of it anew."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(source, target)
    if source.suffix == ".py" and (cached := Path(cache_from_source(str(source)))).exists():
        beside = Path(cache_from_source(str(target)))
        beside.parent.mkdir(exist_ok=True)
        shutil.copy2(cached, beside)


def test_the_wheel_holds_every_file_of_the_packages(wheel: Path) -> None:
    wanted = {
        name
        for name in let_through()
        if name.startswith(("domain/", "worker/")) and not name.endswith(".md")
    }
    assert {name for name in wanted if not (wheel / name).is_file()} == set()


@pytest.mark.timeout(120)
def test_the_wheel_alone_serves_every_page_with_its_style(wheel: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(wheel), "ROSTERD_DATA_DIR": str(tmp_path)}
    where = [sys.executable, "-c", "import worker; print(worker.__file__)"]
    told = subprocess.run(where, cwd=tmp_path, env=environment, check=True, capture_output=True)
    assert str(wheel) in told.stdout.decode(), "it is the checkout that would be tried"
    rosterd = [sys.executable, "-m", "worker"]
    subprocess.run([*rosterd, "migrate"], cwd=tmp_path, env=environment, check=True)
    port = free_port()
    web = subprocess.Popen([*rosterd, "web", "--port", str(port)], cwd=tmp_path, env=environment)
    try:
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}") as http:
            await_true(lambda: http.get("/livez").status_code == 200, name="web")
            link = http.get("/invitations/x")
            assert (link.status_code, link.headers["content-type"]) == (
                410,
                "text/html; charset=utf-8",
            )
            assert "/member.css" in link.text
            assert http.get("/").headers["location"].startswith("/sign-in")
            for path in ("/member.css", "/static/console.css"):
                style = http.get(path)
                assert (style.status_code, bool(style.text)) == (200, True), path
    finally:
        web.terminate()
        assert web.wait(timeout=40) == 0


@pytest.fixture(scope="module")
def image(wheel: Path) -> Iterator[tuple[Path, Path]]:
    """Root folder of an image made with this machine's Python, and rosterd's environment in it."""
    if shutil.which("unshare") is None or subprocess.run([*APART, "true"], check=False).returncode:
        missing("namespaces", "there is no unshare, or it is not allowed")
    # Not where tests usually write: nothing may be started from a /dev/shm of a container.
    with TemporaryDirectory(prefix="rosterd-image-", dir="/var/tmp") as folder:
        root, environment = Path(folder, "image"), Path(folder, "environment")
        _assemble(wheel, root, environment)
        yield root, environment


def _assemble(wheel: Path, root: Path, environment: Path) -> None:
    venv.create(environment, symlinks=True)
    site = next(environment.glob("lib/python*/site-packages"))
    shutil.copytree(wheel, site, dirs_exist_ok=True)
    for name in re.findall(r"^([\w.-]+)==", LOCK, re.MULTILINE):
        with suppress(PackageNotFoundError):  # those of other systems
            _install(distribution(name), environment, site)
    own = Path(sys.executable).resolve()
    script = ROOT / "deploy" / "image_root.py"
    subprocess.run([own, script, root, environment], check=True)
    _take_compiled(environment, root)


def _take_compiled(folder: Path, root: Path) -> None:
    """The image is built without, and then compiled; here that is done already."""
    for cached in folder.rglob("__pycache__"):
        beside = root / cached.relative_to("/")
        if beside.parent.is_dir():
            shutil.copytree(cached, beside, dirs_exist_ok=True)


def _install(package: Distribution, environment: Path, site: Path) -> None:
    """As pip does it: the files, and a program for each command."""
    for file in package.files or []:
        if ".." not in file.parts and file.suffix != ".pyc":
            _copy(Path(str(file.locate())), site / file)
    for command in package.entry_points.select(group="console_scripts"):
        program = environment / "bin" / command.name
        called = f"from {command.module} import {command.attr.partition('.')[0]}\n{command.attr}()"
        program.write_text(f"#!{environment}/bin/python\n{called}\n")
        program.chmod(0o755)


#: What a container's runtime mounts; then into the image and nowhere else.
INSIDE = 'mount --rbind /dev "$0/dev" && mount -t proc proc "$0/proc" && exec chroot "$0" "$@"'


def inside(root: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command in the image as docker would."""
    command = [*APART, "sh", "-c", INSIDE, str(root), *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.long
@pytest.mark.timeout(300)
def test_rosterd_runs_on_what_is_copied_into_the_image_and_nothing_else_is_there(
    image: tuple[Path, Path],
) -> None:
    root, environment = image
    python = str(environment / "bin" / "python")
    settings = {"ROSTERD_DATA_DIR": "/var/lib/rosterd", "ROSTERD_LOG_LEVEL": "error"}
    # Whoever else starts one beside it keeps ports apart by a file that the image does not see.
    port = ["--port", str(free_port())]
    for words in (["--help"], ["migrate"], ["migrate", "--check"], ["demo", "--once", *port]):
        done = inside(root, python, "-m", "worker", *words, **settings)
        assert done.returncode == 0, done.stdout + done.stderr
    programs = {path.name for path in root.rglob("bin/*")} | {
        path.name for path in root.rglob("sbin/*")
    }
    assert not programs & {"sh", "bash", "dash", "apt", "dpkg", "perl", "pip", "pip3"}
    assert "python" in programs


@pytest.mark.long
def test_the_image_is_proved_by_its_own_build_and_runs_as_nobody() -> None:
    stages = [place for place, line in enumerate(DOCKERFILE) if line.startswith("FROM ")]
    last = DOCKERFILE[stages[-1] :]
    assert last[0] == "FROM scratch"
    assert "USER 10001" in last
    for line in last:
        word, _, rest = line.strip().partition(" ")
        if word in {"RUN", "CMD", "ENTRYPOINT"}:
            program = json.loads(rest)[0]
            assert program in {"python", "rosterd", "web"}, f"{line}: there is no shell"
    (proof,) = [json.loads(line.partition(" ")[2]) for line in last if line.startswith("RUN ")]
    run([sys.executable, *proof[1:]], check=True)
    (probe,) = [line for line in last if line.strip().startswith('CMD ["python"')]
    assert "/livez" in probe
