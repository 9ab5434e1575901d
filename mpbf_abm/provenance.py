"""Provenance: everything needed to run something again, and the proof that it is the same."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import tempfile
from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

from mpbf_abm.errors import OutputError

SCHEMA_VERSION = 1
LIBRARIES = ("numpy", "scipy", "pandas", "mesa", "networkx", "pydantic")


def version() -> str:
    """Version of this package."""
    return metadata.version("mpbf_abm")


# What stands above the model or beside it: nothing of it can change the result of a run.
ABOVE = (
    "cli",
    "figures",
    "explorer",
    "bench",
    "campaign",
    "reference",
    "examples",
    "laboratory",
    "paper",
    "measures",
    "verification",
    "whatif",
    "twin",
    "studies",
    "workers",
    "__main__",
    "__init__",
)


@lru_cache(maxsize=1)
def fingerprint() -> str:
    """Hash of the package's source: two installations with the same one run the same software."""
    return _source_hash(lambda _: True)


@lru_cache(maxsize=1)
def model_fingerprint() -> str:
    """Hash of the source that results of a run depend on."""
    return _source_hash(
        lambda path: path.parts[0].removesuffix(".py") not in ABOVE or path.as_posix() == "studies/model.py"
    )


def _source_hash(counts: Callable[[Path], bool]) -> str:
    root = Path(__file__).parent
    digest = hashlib.blake2b(digest_size=16)
    for path in sorted([*root.rglob("*.py"), *root.rglob("*.csv")]):
        if counts(path.relative_to(root)):
            digest.update(path.relative_to(root).as_posix().encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def environment() -> dict[str, str]:
    """Versions of Python and of the libraries that results depend on."""
    return dict(_environment())


@cache
def _environment() -> dict[str, str]:
    found = {"python": platform.python_version(), "platform": platform.system(), "machine": platform.machine()}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:  # pragma: no cover - a broken installation
            found[name] = "missing"
    return found


def content_hash(data: Any) -> str:
    """Hash of JSON-serialisable data, independent of key order."""
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), default=_plain)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _plain(value: Any) -> Any:
    if hasattr(value, "model_dump"):
        return value.model_dump()
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} does not belong in provenance")


def record(**what: Any) -> dict[str, Any]:
    """Provenance record: what was run, with its hash, and by which software."""
    plain = json.loads(json.dumps(what, default=_plain))
    return {
        "schema": SCHEMA_VERSION,
        "software": {"name": "mpbf_abm", "version": version(), "fingerprint": fingerprint()},
        "run": plain,
        "run_hash": content_hash(plain),
        "environment": environment(),
    }


def outputs(folder: Path) -> dict[str, dict[str, Any]]:
    """Size and hash of every file of a folder."""
    return {
        path.name: {"bytes": path.stat().st_size, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
        for path in sorted(folder.iterdir())
    }


class OutputFolder:
    """A results folder that is either complete or absent.

    Files are written to a hidden folder beside the destination and moved into place at the end,
    so that a run killed half-way leaves nothing that looks complete.

    Parameters
    ----------
    path : Path
        Destination. An existing non-empty folder is replaced only if it was written by this
        class (it holds a ``provenance.json``).
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if self.path.exists() and not self.path.is_dir():
            raise OutputError(f"{self.path}: is a file, not a folder")
        if self.path.exists() and any(self.path.iterdir()) and not (self.path / "provenance.json").exists():
            raise OutputError(f"{self.path}: is not empty and was not written by mpbf; choose another folder")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._work = Path(tempfile.mkdtemp(prefix=f".{self.path.name}.", dir=self.path.parent))
            # mkdtemp makes private folders; results are meant to be shared like other files.
            umask = os.umask(0)
            os.umask(umask)
            self._work.chmod(0o777 & ~umask)
        except OSError as error:
            raise OutputError(f"{self.path}: cannot be written ({error.strerror})") from None

    def __enter__(self) -> Path:
        return self._work

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        import shutil

        if kind is not None:
            shutil.rmtree(self._work, ignore_errors=True)
            return
        try:
            if self.path.exists():
                old = self._work.with_name(self._work.name + ".old")
                self.path.rename(old)
                try:
                    self._work.rename(self.path)
                except OSError:
                    old.rename(self.path)
                    raise
                shutil.rmtree(old, ignore_errors=True)
            else:
                self._work.rename(self.path)
        except OSError as failure:
            shutil.rmtree(self._work, ignore_errors=True)
            raise OutputError(f"{self.path}: cannot be written ({failure.strerror})") from None
