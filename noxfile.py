#!/usr/bin/env -S uv run --script
# /// script
# dependencies = ["nox>=2025.2.9"]
# ///
"""Sessions that need an environment of their own: ``nox`` for every check, ``nox -l`` for the list."""

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
    """Build source archive and wheel, and start the installed wheel outside the repository."""
    session.install("build")
    built = Path(session.create_tmp()).resolve()
    session.run("python", "-m", "build", "--outdir", str(built))
    (wheel,) = built.glob("*.whl")
    session.install(str(wheel))
    session.chdir(built)
    session.run("mpbf", "--help")


if __name__ == "__main__":
    nox.main()
