"""Provenance: everything needed to run something again, and the proof that it is the same."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import cache, lru_cache
from importlib import metadata
from pathlib import Path, PurePosixPath
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


# --------------------------------------------------------------------------- folders of results

RECORD = "provenance.json"
STORES = ".sqlite"
NAMED = 5  # files that a message names


def outputs(folder: Path) -> dict[str, dict[str, Any]]:
    """Size and hash of every file below a folder, by its path relative to it; not of the record itself."""
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p != folder / RECORD)
    return {
        path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": _sha256(path)} for path in files
    }


def holds_result(folder: Path) -> bool:
    """Whether a folder is one of results: no study's runs go there."""
    return (folder / RECORD).exists()


def holds_store(folder: Path) -> bool:
    """Whether a folder holds the runs of a study: no result goes there."""
    return any(p.suffix.lower() == STORES for p in folder.iterdir())


def seal(folder: Path, kind: str, of: str = "") -> dict[str, Any]:
    """Note in a folder's record what the result is, and every file of it with its hash.

    Parameters
    ----------
    folder : Path
        Its record (``provenance.json``) says what was run; one is begun if there is none.
    kind, of : str
        As for :class:`OutputFolder`.

    Returns
    -------
    dict
        The record.
    """
    path = folder / RECORD
    held: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else record()
    held |= {"result": {"kind": kind, "of": of}, "outputs": outputs(folder)}
    _write_record(held, folder)
    return held


def _write_record(record: dict[str, Any], folder: Path) -> None:
    text = json.dumps(record | {"record_hash": _record_hash(record)}, indent=2, allow_nan=False)
    (folder / RECORD).write_text(text + "\n", encoding="utf-8", newline="\n")


def _record_hash(record: Mapping[str, Any]) -> str:
    """Hash of a record without its own hash, so that a change of it is noticed."""
    return content_hash({key: value for key, value in record.items() if key != "record_hash"})


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_listing(files: Any) -> bool:
    """Whether this lists files below a folder by their hashes, and nothing outside it."""
    return isinstance(files, dict) and all(
        isinstance(about["sha256"], str)
        and not PurePosixPath(name).is_absolute()
        and ".." not in PurePosixPath(name).parts
        for name, about in files.items()
    )


def _is_ours(place: Path, name: str, hashes: set[str]) -> bool:
    """Whether a listed file is as it was written, and no link leads elsewhere on the way to it."""
    path = place / name
    try:
        return path.is_file() and path.resolve() == path and _sha256(path) in hashes
    except OSError:
        return False


def _in_the_way(place: Path, name: str) -> bool:
    """Whether something stands where a new file goes, or where one of its folders does."""
    path = place / name
    parents = [place / p for p in Path(name).parents if p != Path()]
    return os.path.lexists(path) or any(os.path.lexists(p) and (p.is_symlink() or not p.is_dir()) for p in parents)


def _others(place: Path, written: set[str]) -> list[str]:
    """Files and folders in a folder of results that are not of the result; a folder without any of its files counts as one."""
    folders = {parent.as_posix() for name in written for parent in PurePosixPath(name).parents}
    found = []
    for path in sorted(place.iterdir()):
        name = path.name
        if name in folders and path.is_dir():
            below = {w.removeprefix(f"{name}/") for w in written if w.startswith(f"{name}/")}
            found += [f"{name}/{other}" for other in _others(path, below)]
        elif name not in written:
            found.append(name + "/" * path.is_dir())
    return found


def _remove_empty(place: Path, folder: Path) -> None:
    """Remove a folder below another one, and those above it, as far as they are empty."""
    while folder != Path() and not any((place / folder).iterdir()):
        (place / folder).rmdir()
        folder = folder.parent


def some(names: Sequence[str]) -> str:
    """A few names, and how many more there are."""
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")


class OutputFolder:
    """A folder of results that replaces nothing but what an earlier result of the same kind wrote there.

    Files are written to a hidden folder beside the destination and moved into place at the end, so that a run that is
    killed leaves nothing that looks complete. The record (``provenance.json``) lists every file with its hash. Where
    the destination exists, files that its record lists are replaced if they still have that hash; all others stay.

    Parameters
    ----------
    path : Path
        Destination: a folder that does not exist, is empty, or holds an earlier result.
    kind : str
        What the result is: run, compare, ... Another kind does not replace it.
    of : str
        What it is a result of; empty if that does not matter. A result of something else does not replace it.
    force : bool
        Let the result of something else be replaced.

    Attributes
    ----------
    written : list of str
        Files of the result, at the end.
    kept : list of str
        Files and folders in the destination that the result did not write, at the end.

    Raises
    ------
    OutputError
        For a destination that is a file, holds the runs of a study, another result, files but no result, or a file of the earlier
        result that was changed since. At the end, where the destination has become such a one meanwhile: the result
        is then kept in a folder beside it.
    """

    def __init__(self, path: str | Path, kind: str, of: str = "", *, force: bool = False) -> None:
        self.path, self.kind, self.of, self.force = Path(path), kind, of, force
        self.written: list[str] = []
        self.kept: list[str] = []
        # A link to a folder stays one.
        self._place = Path(os.path.realpath(self.path))
        try:
            self._check()
            self._place.parent.mkdir(parents=True, exist_ok=True)
            self._work = Path(tempfile.mkdtemp(prefix=f".{self._place.name}.", dir=self._place.parent))
            # mkdtemp makes private folders; results are meant to be shared like other files.
            umask = os.umask(0)
            os.umask(umask)
            self._work.chmod(0o777 & ~umask)
        except OSError as error:
            raise OutputError(self._words(error)) from None

    def __enter__(self) -> Path:
        return self._work

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if kind is not None:
            shutil.rmtree(self._work, ignore_errors=True)
            return
        new = seal(self._work, self.kind, self.of)
        self.written = sorted([*new["outputs"], RECORD])
        try:
            if self._place.exists():
                self._replace(new)
            else:
                self._work.rename(self._place)
        except OSError as failure:
            raise OutputError(f"{self._words(failure)}; the result is kept in {self._save()}") from None

    def _words(self, failure: OSError) -> str:
        own = isinstance(failure, OutputError)
        return str(failure) if own else f"{self.path}: cannot be written ({failure.strerror})"

    # ------------------------------------------------------------------ what is there

    def _check(self, new: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Files that the earlier result listed; raises unless all else can stay as it is.

        Parameters
        ----------
        new : mapping, optional
            Files that are to be moved there.
        """
        place = self._place
        if not place.exists():
            return {}
        if not place.is_dir():
            raise OutputError(f"{self.path}: is a file, not a folder")
        if holds_store(place):
            raise OutputError(f"{self.path}: holds the runs of a study; a result goes into a folder of its own")
        if not any(place.iterdir()):
            return {}
        held = self._record()
        before = held.get("result", {"kind": self.kind, "of": held.get("run_hash", "")})
        if before["kind"] != self.kind:
            raise OutputError(f"{self.path}: holds another result ({before['kind']}); choose another folder")
        if before["of"] != self.of and not self.force:
            raise OutputError(f"{self.path}: holds the results of another {'plan' if self.kind == 'run' else 'study'}; choose another folder"
                              + (", or --force" if self.kind == "run" else ""))  # fmt: skip
        listed: dict[str, Any] = held["outputs"]
        # Of a result that was cut off while it was moved there, files of both may be there.
        hashes = {name: {part[name]["sha256"] for part in (listed, held.get("replaced", {})) if name in part}
                  for name in [*listed, *held.get("replaced", {})]}  # fmt: skip
        changed = [name for name in hashes if os.path.lexists(place / name) and not _is_ours(place, name, hashes[name])]
        if changed:
            raise OutputError(
                f"{self.path}: changed since mpbf wrote it: {some(changed)}; move it away, or choose another folder"
            )
        taken = [name for name in new or () if name not in hashes and _in_the_way(place, name)]
        if taken:
            raise OutputError(
                f"{self.path}: in the way, and not written by mpbf: {some(taken)}; move it away, or choose another folder"
            )
        return {name: listed.get(name) or held["replaced"][name] for name in hashes}

    def _record(self) -> dict[str, Any]:
        """Record of the earlier result."""
        try:
            held = json.loads((self._place / RECORD).read_text(encoding="utf-8"))
            own = held["software"]["name"] == "mpbf_abm" and _is_listing(held["outputs"])
            own = own and _is_listing(held.get("replaced", {}))
            whole = held.get("record_hash") in (None, _record_hash(held))
            if "result" in held:
                own = own and all(isinstance(held["result"][k], str) for k in ("kind", "of"))
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            own = whole = False
        if not own:
            raise OutputError(f"{self.path}: is not empty and was not written by mpbf; choose another folder")
        if not whole:
            raise OutputError(
                f"{self.path}: changed since mpbf wrote it: {RECORD}; move it away, or choose another folder"
            )
        record: dict[str, Any] = held
        return record

    # ------------------------------------------------------------------ what becomes of it

    def _replace(self, new: dict[str, Any]) -> None:
        """Move the result to where an earlier one is, file by file, and remove what that one had and this one has not."""
        old = self._check(new["outputs"])
        final = (self._work / RECORD).read_bytes()
        # From here on both are listed, so that a run that is killed leaves nothing that nobody knows.
        _write_record(new | {"replaced": old}, self._work)
        os.replace(self._work / RECORD, self._place / RECORD)
        for name in new["outputs"]:
            (self._place / name).parent.mkdir(parents=True, exist_ok=True)
            os.replace(self._work / name, self._place / name)
        for name in old.keys() - new["outputs"].keys():
            (self._place / name).unlink(missing_ok=True)
            _remove_empty(self._place, Path(name).parent)
        (self._work / RECORD).write_bytes(final)
        os.replace(self._work / RECORD, self._place / RECORD)
        shutil.rmtree(self._work, ignore_errors=True)
        self.kept = _others(self._place, set(self.written))

    def _save(self) -> Path:
        """Keep a result that cannot be moved to where it was to go."""
        for number in range(1, 1_000):
            beside = self._place.with_name(f"{self._place.name}-{number}")
            if not beside.exists():
                with contextlib.suppress(OSError):
                    self._work.rename(beside)
                    return beside
        return self._work
