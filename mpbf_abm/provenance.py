"""Provenance: everything needed to run something again, and the proof that it is the same."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

SCHEMA_VERSION = 1
DEFAULT_SEED = 1  # root seed of what names none: a run, a first pair or campaign, a study, synthetic materials
LIBRARIES = ("numpy", "scipy", "pandas", "mesa", "networkx", "pydantic")


def version() -> str:
    """Version of this package."""
    return metadata.version("mpbf_abm")


# What shows results, or drives their making: nothing of it can change a number.
DOORS = ("cli", "figures", "page", "reports", "studies", "processes", "outputs", "glance", "__main__", "__init__")
# What stands above the model: nothing of it can change the result of a run.
ABOVE = (*DOORS, "evidence", "measures", "stats", "theory")
# What a run follows from although its room is left out.
COUNTED = ("studies/jobs.py", "stats/concentration.py")


@lru_cache(maxsize=1)
def fingerprint() -> str:
    """Hash of the package's source: two installations with the same one run the same software."""
    return _source_hash(lambda _: True)


@lru_cache(maxsize=1)
def model_fingerprint() -> str:
    """Hash of the source that results of a run depend on."""
    return _source_hash(lambda path: _counts(path, ABOVE))


@lru_cache(maxsize=1)
def library_fingerprint() -> str:
    """Hash of the source that assessments, facts and known results depend on: the model, and what measures it."""
    return _source_hash(lambda path: _counts(path, DOORS))


def _counts(path: Path, left_out: tuple[str, ...]) -> bool:
    return path.parts[0].partition(".")[0] not in left_out or path.as_posix() in COUNTED


def _source_hash(counts: Callable[[Path], bool]) -> str:
    root = Path(__file__).parent
    digest = hashlib.blake2b(digest_size=16)
    for path in sorted(path for kind in ("py", "csv", "toml", "sql") for path in root.rglob(f"*.{kind}")):
        if counts(path.relative_to(root)):
            digest.update(path.relative_to(root).as_posix().encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def environment() -> dict[str, str]:
    """Return what bytes depend on: versions of Python and libraries, kernels of linear algebra, processor features."""
    return dict(_environment())


@cache
def _environment() -> dict[str, str]:
    found = {"python": platform.python_version(), "platform": platform.system(), "machine": platform.machine()}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:  # pragma: no cover - a broken installation
            found[name] = "missing"
    return found | _processor()


def _processor() -> dict[str, str]:
    """Which kernels BLAS has chosen for this processor, and which of its features NumPy uses."""
    import numpy as np
    import scipy.linalg  # noqa: F401 (brings a second BLAS)
    from threadpoolctl import threadpool_info

    blas = {
        f"{lib['internal_api']} {lib.get('version')} {lib.get('architecture', '')}".strip()
        for lib in threadpool_info()
        if lib["user_api"] == "blas"
    }
    core: Any = getattr(np, "_core")  # noqa: B009 (NumPy has no public name for it)
    features = getattr(core._multiarray_umath, "__cpu_features__", {})
    return {"blas": ", ".join(sorted(blas)), "cpu": " ".join(sorted(name for name, there in features.items() if there))}


def unlike(*environments: Mapping[str, str]) -> list[str]:
    """In which parts some environments differ, of those that bytes depend on and that they say."""
    parts = dict.fromkeys(part for e in environments for part in e)
    return [part for part in parts if len({e[part] for e in environments if part in e}) > 1]


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
