"""Join the stores of shards, or save what can be read of a damaged store."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from mpbf_abm.errors import ConfigurationError
from mpbf_abm.outputs import some
from mpbf_abm.provenance import unlike
from mpbf_abm.studies.driver import Progress, Silent
from mpbf_abm.studies.store import FILE, LOST, Saved, Store, StoreError, if_readable


def merge_stores(target: Path, sources: Sequence[Path], progress: Progress | None = None) -> dict[str, int]:
    """Copy all runs that can be read from some stores into the one of a folder.

    Parameters
    ----------
    target : Path
        Folder; its store is made if there is none.
    sources : sequence of Path
        Stores, or folders of them; the shards in the target if empty.
    progress : Progress, optional

    Returns
    -------
    dict
        Numbers of runs: added, known, damaged, different.

    Raises
    ------
    ConfigurationError
        If there is nothing to join.
    StoreError
        If the stores do not belong to one study and one version of its model.
    """
    watch = progress or Silent()
    paths = [path for source in sources or [target] for path in _stores(source, shards_only=not sources)]
    own = target / FILE
    paths = [p for p in paths if not (own.exists() and p.exists() and p.samefile(own))]
    if not paths:
        raise ConfigurationError(f"{target}: holds no shards (shard-1-of-N.sqlite, ...); name the stores to join")
    with ExitStack() as stack:
        opened = [_opened(path, stack) for path in paths]
        studies = [study for store in opened if (study := if_readable(store.last_study, None)) is not None]
        held = _held(own)
        if held is None and not studies:
            raise StoreError(
                f"{paths[0]}: what study it holds cannot be read; run the study in {target} first (mpbf study run STUDY.toml --out {target})"
            )
        first = held or studies[0]
        newest = max([*studies, *([held] if held else [])], key=lambda s: s.saved)
        for path, study in zip(paths, [if_readable(store.last_study, None) for store in opened], strict=True):
            if study is not None and (study.name, study.model, study.fingerprint, study.form) != (
                first.name,
                first.model,
                first.fingerprint,
                first.form,
            ):
                raise StoreError(
                    f"{path}: holds the study '{study.name}' by model {study.fingerprint[:12]}, not '{first.name}' by {first.fingerprint[:12]}"
                )
        # Nothing is made before all is known to fit.
        into = stack.enter_context(Store.open(own, write=True))
        if damaged := into.mend():
            watch.say(
                f"{len(damaged)} runs of {own} are damaged, and are taken from the others if they are there: {some(damaged)}"
            )
        if held is None or newest.definition != held.definition:
            if len({s.definition for s in studies}) > 1:
                watch.say(
                    f"the stores hold different definitions of '{newest.name}'; the newest is kept, of {newest.saved}"
                )
            into.save_study(newest)
        kinds = [e for store in [into, *opened] for e in if_readable(store.environments, {}).values() if e != LOST]
        if apart := unlike(*kinds):
            watch.say(
                f"the runs were made on machines that differ in {', '.join(apart)}: the same run may have other bytes there"
            )
        watch.begin(sum(sum(if_readable(store.counts, {}).values()) for store in opened))
        return into.merge(opened, lambda: watch.advance(done=1, failed=0, known=0))


def _opened(path: Path, stack: ExitStack) -> Store:
    """Open a store to read; one that was cut short, by way of a copy that is filled up with zeros."""
    whole = _pages(path)
    if whole <= path.stat().st_size:
        return stack.enter_context(Store.open(path))
    copy = Path(stack.enter_context(tempfile.TemporaryDirectory())) / path.name
    shutil.copyfile(path, copy)
    os.truncate(copy, whole)
    return stack.enter_context(Store.open(copy))


def _pages(path: Path) -> int:
    """Size in bytes that a SQLite file says it has (0 if it says nothing)."""
    with path.open("rb") as file:
        head = file.read(100)
    if len(head) < 100 or not head.startswith(b"SQLite format 3"):
        return 0
    size = int.from_bytes(head[16:18], "big")
    return (65536 if size == 1 else size) * int.from_bytes(head[28:32], "big")


def _stores(source: Path, *, shards_only: bool) -> list[Path]:
    if not source.exists():
        raise ConfigurationError(f"{source}: no such store or folder")
    if not source.is_dir():
        return [source]
    shards = sorted(source.glob("shard-*-of-*.sqlite"))
    return shards if shards_only else [*([source / FILE] if (source / FILE).exists() else []), *shards]


def _held(path: Path) -> Saved | None:
    """Study of the store that is joined to, if there is one."""
    if not path.exists():
        return None
    with Store.open(path) as store:
        return store.last_study()
