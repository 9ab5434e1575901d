"""A page that is really served, and a real browser to look at it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from questions import SMALL, scenario

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

STUDY = """
[study]
name = "small"
question = "Does a floor help?"
preset = "single-quick"
ticks = 6
[parameters]
"space.materials" = 500
"space.families" = 8
"founding.records" = 100
"planners.exploration" = {values = [0.1, 0.6]}
[design]
kind = "grid"
[[policy]]
name = "exploration_floor"
[replicates]
n = 3
"""


@pytest.fixture(scope="session")
def browser_type_launch_args():
    if CHROMIUM is None:
        if os.environ.get("CI"):
            pytest.fail("the tests of the page need chromium")
        pytest.skip("the tests of the page need chromium")
    return {"executable_path": CHROMIUM, "args": ["--no-sandbox"]}


@pytest.fixture(scope="session")
def address(tmp_path_factory) -> Iterator[str]:
    """Address of a page that starts with a small community."""
    place = tmp_path_factory.mktemp("page")
    (place / "small.toml").write_text(scenario(SMALL).to_toml())
    (place / "study.toml").write_text(STUDY)
    environment = os.environ | {"PYTHONWARNINGS": "error"}
    command = [sys.executable, "-m", "mpbf_abm"]
    subprocess.run(
        [*command, "study", "run", "study.toml", "--out", "studies/small", "-q"],
        cwd=place,
        check=True,
        timeout=120,
        capture_output=True,
    )
    with (place / "log").open("w") as log:
        page = subprocess.Popen(
            [*command, "explore", "small.toml", "--port", "0", "--no-browser", "--studies", "studies", "--jobs", "2"],
            cwd=place,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=environment,
        )
        killer = threading.Timer(1200, page.kill)
        killer.start()
        assert page.stdout is not None
        try:
            line = page.stdout.readline()
            assert "http://127.0.0.1:" in line, f"{line}{(place / 'log').read_text()}"
            yield line.split()[2]
        finally:
            killer.cancel()
            page.terminate()
            page.stdout.close()
            try:
                page.wait(15)
            except subprocess.TimeoutExpired:
                page.kill()
                raise
    said = (place / "log").read_text()
    assert "Traceback" not in said, said


@pytest.fixture
def seen(address, context) -> Iterator[dict[str, list[str]]]:
    """Requests and errors of every page of a context; none may go to another host, none may be an error."""
    found: dict[str, list[str]] = {"requests": [], "errors": []}
    context.on("request", lambda r: found["requests"].append(r.url))
    context.on("weberror", lambda e: found["errors"].append(str(e.error)))
    yield found
    own = urlsplit(address).netloc
    foreign = [
        url for url in found["requests"] if urlsplit(url).scheme not in ("data", "blob") and urlsplit(url).netloc != own
    ]
    assert not foreign
    assert not found["errors"]
