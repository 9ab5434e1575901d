"""Results in files that other programs read: CSV, Parquet, NetCDF."""

from __future__ import annotations

import hashlib
import json
import mimetypes
from datetime import UTC, datetime
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mpbf_abm.errors import ConfigurationError, did_you_mean
from mpbf_abm.outputs import RECORD, write_pages
from mpbf_abm.provenance import version
from mpbf_abm.studies.files import write_study
from mpbf_abm.studies.report import methods
from mpbf_abm.studies.results import Results, frame

if TYPE_CHECKING:
    import pandas as pd

FORMATS = ("csv", "parquet", "netcdf")


def export(results: Results, folder: Path, form: str) -> list[Path]:
    """Write runs, outcomes, series, failures, timings and the study itself into a folder.

    Parameters
    ----------
    results : Results
    folder : Path
    form : str
        csv, parquet, or netcdf (one file with all arrays).

    Returns
    -------
    list of Path
        What was written. All but the timings follow from the study alone, byte for byte.
    """
    if form not in FORMATS:
        known = (*FORMATS, "crate")
        raise ConfigurationError(f"--to = '{form}': must be one of {', '.join(known)}{did_you_mean(form, known)}")
    study = folder / "study.toml"
    write_pages(folder, {study.name: write_study(results.study)})
    if form == "netcdf":
        return [study, _netcdf(results, folder / "results.nc")]
    tables = {"runs": results.runs, "outcomes": results.outcomes, "failures": results.failures}
    tables["timings"] = timings(results)
    if results.study.series.of:
        tables["series"] = results.series()
    return [study, *(_write(table, folder / f"{name}.{form}") for name, table in tables.items())]


def timings(results: Results) -> pd.DataFrame:
    """Return seconds, attempts and machine of each run."""
    rows = [row for row in results.store.seconds() if row[0] in results.places]
    table = frame(rows, ["run", "status", "seconds", "attempts", "environment"])
    names = {n: json.dumps(e, sort_keys=True) for n, e in results.store.environments().items()}
    table["environment"] = table["environment"].map(names)
    return table.sort_values("run", ignore_index=True)


def _write(table: pd.DataFrame, path: Path) -> Path:
    if path.suffix == ".csv":
        write_pages(path.parent, tables={path.stem: table})
        return path
    # Columns of mixed kinds are written as words.
    mixed = [c for c in table if table[c].dtype == object and table[c].map(type).nunique() > 1]
    try:
        table.astype(dict.fromkeys(mixed, str)).to_parquet(path, index=False)
    except ImportError:
        raise ConfigurationError("--to parquet needs pyarrow: pip install 'mpbf_abm[study]'") from None
    return path


def _netcdf(results: Results, path: Path) -> Path:
    """Write arrays by scenario, arm and replicate (NetCDF 3), with a dimension of ticks for series."""
    from scipy.io import netcdf_file

    file: Any
    runs, scenarios = ("scenario", "arm", "replicate"), results.scenarios
    with netcdf_file(path, "w") as file:
        file.title, file.source = results.study.name, "mpbf_abm"
        file.history = f"study {results.study.name}, results {results.hash}"
        for name, size in zip(runs, results.shape, strict=True):
            file.createDimension(name, size)
        _text(file, "arm_label", "arm", results.arm_names)
        for column in results.plan.scenarios.names:
            values = scenarios[column]
            if values.dtype.kind in "iufb":
                _array(file, column, "d", runs[:1], values.to_numpy(np.float64), column)
            else:
                _text(file, _free(file, column), "scenario", [str(v) for v in values])
        _array(file, "status", "b", runs, results.status, "0 missing, 1 done, 2 failed")
        for name in results.definitions:
            _array(file, name, "d", runs, results.values(name), name)
        if of := results.study.series.of:
            file.createDimension("tick", len(results.series_ticks))
            _array(file, "tick", "i", ("tick",), results.series_ticks.astype(np.int32))
            for name in of:
                _array(file, f"series_{name}", "d", (*runs, "tick"), results.series_values(name), name)
    return path


def _array(file: Any, name: str, kind: str, dimensions: tuple[str, ...], values: Any, words: str = "") -> None:
    """Write a variable, and what it is."""
    variable = file.createVariable(_free(file, name), kind, dimensions)
    variable[:] = values
    if words:
        variable.long_name = words.encode()


def _text(file: Any, name: str, dimension: str, texts: list[str]) -> None:
    """Write a variable of words, as NetCDF 3 has them: characters with a length."""
    width = max(1, *(len(t.encode()) for t in texts))
    file.createDimension(f"{name}_length", width)
    padded = np.array([t.encode().ljust(width) for t in texts], f"S{width}")
    _array(file, name, "c", (dimension, f"{name}_length"), padded.view("S1").reshape(len(texts), width))


def _free(file: Any, name: str) -> str:
    """Return a name that NetCDF takes and that is not taken yet."""
    plain = "".join(c if c.isascii() and (c.isalnum() or c == "_") else "_" for c in name)
    names = chain([plain], (f"{plain}_{number}" for number in count(2)))
    return next(name for name in names if name not in file.variables)


# --------------------------------------------------------------------------- crate

# A study as a research object: an RO-Crate 1.1 after the profile Process Run Crate, for an archive.

PROFILE = "https://w3id.org/ro/wfrun/process/0.5"
LICENSE = "https://spdx.org/licenses/CC-BY-4.0"
WORDS = {
    "study.toml": "the study: question, parameters, arms, replicates, outcomes",
    "runs.csv": "every run of the plan with its seed and status",
    "outcomes.csv": "outcomes, one row for each finished run",
    "series.csv": "series, one row for each run and stored tick",
    "failures.csv": "runs that failed, and why",
    "timings.csv": "seconds, attempts and machine of each run",
    "methods.md": "how the study was made, in a paragraph",
    RECORD: "what made these files, and their hashes",
}


def write_crate(results: Results, folder: Path, *, license: str = LICENSE, author: str = "") -> list[Path]:
    """Write a study's tables, a paragraph of methods and their description as an RO-Crate.

    Parameters
    ----------
    results : Results
    folder : Path
        Where the record of the export is begun.
    license : str
        Address of the licence under which the results may be used.
    author : str, optional
        Who made the runs.

    Returns
    -------
    list of Path
    """
    try:
        from rocrate.model.contextentity import ContextEntity
        from rocrate.model.person import Person
        from rocrate.rocrate import ROCrate
    except ImportError:
        raise ConfigurationError("--to crate needs rocrate: pip install 'mpbf_abm[crate]'") from None
    study = results.study
    paths = [*export(results, folder, "csv"), folder / "methods.md"]
    write_pages(folder, {"methods.md": methods(results) + "\n"})
    crate = ROCrate()
    crate.name, crate.description = study.name, study.question or f"Runs of the study {study.name}"
    crate.license, crate.datePublished = license, datetime.now(UTC)

    def entity(id: str, kind: str, **properties: Any) -> Any:
        return crate.add(ContextEntity(crate, id, {"@type": kind, **properties}))

    profile = entity(PROFILE, "CreativeWork", name="Process Run Crate", version="0.5")
    crate.root_dataset["conformsTo"] = profile
    files = {}
    for path in [*paths, folder / RECORD]:
        about: dict[str, Any] = {"name": WORDS.get(path.name, path.stem)}
        about["encodingFormat"] = mimetypes.guess_type(path.name)[0] or "text/plain"
        if path.name != RECORD:
            # The record has the hashes of all files, this description included, and one of itself; it is finished last.
            about |= {"contentSize": path.stat().st_size, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
        files[path.name] = crate.add_file(path, path.name, properties=about)
    machines, source = results.store.environments().values(), f"source {results.plan.fingerprint}"
    needs = sorted({f"{k} {v}" for e in machines for k, v in e.items() if k not in ("host", "mpbf_abm")})
    made = {"name": "mpbf_abm", "softwareVersion": version(), "description": source, "softwareRequirements": needs}
    software = entity("#mpbf_abm", "SoftwareApplication", **made)
    asked = files.pop("study.toml")
    action: dict[str, Any] = {"name": f"mpbf study run {study.name}", "instrument": {"@id": software.id}}
    action |= {"object": {"@id": asked.id}, "result": [{"@id": f.id} for f in files.values()]}
    action |= {"description": f"results {results.hash}", "endTime": datetime.now(UTC).isoformat(timespec="seconds")}
    if author:
        person = crate.add(Person(crate, f"#{'-'.join(author.lower().split())}", {"name": author}))
        crate.root_dataset["author"] = person
        action["agent"] = {"@id": person.id}
    crate.root_dataset["mentions"] = entity("#run", "CreateAction", **action)
    crate.metadata.write(folder)
    return [*paths, folder / "ro-crate-metadata.json"]
