"""The image: what the builder is sent suffices, and what is built of it serves every page."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.deploy.context import ROOT, let_through
from tests.servers import await_true, free_port

DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8").splitlines()


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
    return site


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
                404,
                "text/html; charset=utf-8",
            )
            assert "/member.css" in link.text
            assert http.get("/").status_code == 401
            for path in ("/member.css", "/static/status.css"):
                style = http.get(path)
                assert (style.status_code, bool(style.text)) == (200, True), path
    finally:
        web.terminate()
        assert web.wait(timeout=40) == 0
