#!/usr/bin/env -S uv run --script
# /// script
# dependencies = ["nox>=2025.2.9"]
# ///
"""Sessions that need an environment of their own: ``nox`` for every check, ``nox -s package`` for the wheel."""

from pathlib import Path

import nox

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "uv|virtualenv"


@nox.session(default=True)
def tests(session: nox.Session) -> None:
    """Run the whole test suite, linters and type checks included."""
    session.install("-e", ".[test]")
    session.run("python", "-m", "pytest", *session.posargs)


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
