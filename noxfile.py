#!/usr/bin/env -S uv run --script
# /// script
# dependencies = ["nox>=2025.2.9"]
# ///
"""Sessions that need an environment of their own: ``nox`` for every check, ``nox -l`` for the list."""

import re
import shlex
import shutil
import tarfile
import zipfile
from pathlib import Path

import nox

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "uv|virtualenv"

# Mesa 3.3 is the last series for Python 3.11.
MESA = {"3.3": "mesa>=3.3,<3.4", "newest": "mesa>=3.4"}
VERSIONS = [("3.11", "3.3"), *((python, mesa) for python in ("3.12", "3.13", "3.14") for mesa in MESA)]


@nox.session(default=True)
def tests(session: nox.Session) -> None:
    """Run every check but the nightly ones, linters and type checks included."""
    session.install("-e", ".[test]")
    session.run("python", "-m", "pytest", *session.posargs)


@nox.session(default=False)
def nightly(session: nox.Session) -> None:
    """Run the tests that ``python -m pytest`` leaves out, with many more examples for each property."""
    session.install("-e", ".[test]")
    session.run(
        "python", "-m", "pytest", "-m", "nightly or hypothesis", "--hypothesis-profile", "nightly", *session.posargs
    )


@nox.session(default=False)
@nox.parametrize(["python", "mesa"], VERSIONS)
def versions(session: nox.Session, mesa: str) -> None:
    """Run the tests of the model on another Python, with the oldest or the newest Mesa."""
    session.install("-e", ".[test]", MESA[mesa])
    session.run("python", "-m", "pytest", *(session.posargs or ["--ignore", "tests/test_project.py"]))


@nox.session(default=False)
def package(session: nox.Session) -> None:
    """Build archive and wheel; with the wheel alone, in an empty folder, ask a what-if, run a study, draw a figure."""
    session.install("build")
    built = Path(session.create_tmp()).resolve() / "built"
    shutil.rmtree(built, ignore_errors=True)
    session.run("python", "-m", "build", "--outdir", str(built))
    (wheel,), (archive,) = built.glob("*.whl"), built.glob("*.tar.gz")
    held = names_in(wheel), names_in(archive)
    if missing := {"analysis", "tests", "mpbf_abm"} - held[1]:
        session.error(f"the source archive lacks {', '.join(sorted(missing))}")
    if beside := {name for name in held[0] if not name.startswith("mpbf_abm")}:
        session.error(f"the wheel holds {', '.join(sorted(beside))}, too")
    session.install(str(wheel))
    empty = built / "empty"
    empty.mkdir()
    session.chdir(empty)
    for words in (what_if(), *FROM_A_STUDY):
        session.run(*words)
    if not (empty / "results/study/figures/ridges.pdf").is_file():
        session.error("no figure was drawn")


def names_in(archive: Path) -> set[str]:
    """Return the folders and files at the top of a wheel, or within the one folder of a source archive."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            return {name.split("/")[0] for name in wheel.namelist()}
    with tarfile.open(archive) as source:
        return {name.split("/")[1] for name in source.getnames() if "/" in name}


def what_if() -> list[str]:
    """Return the first what-if of the README."""
    text = (Path(__file__).parent / "README.md").read_text(encoding="utf-8")
    found = re.search(r"\.venv/bin/(mpbf run [^|&\n]*--policy[^|&\n]*)", text)
    assert found is not None, "README.md has no what-if"  # noqa: S101
    return shlex.split(found.group(1))


# A study from its template, its runs (`study init` writes 40 of a minute or two), and a figure of them.
FROM_A_STUDY = (
    ("mpbf", "study", "init", "study.toml"),
    ("mpbf", "study", "run", "study.toml", "--quiet"),
    ("mpbf", "figures", "build", "ridges", "study.toml", "--journal", "pnas"),
)


if __name__ == "__main__":
    nox.main()
