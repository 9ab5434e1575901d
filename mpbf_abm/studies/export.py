"""Results in files that other programs read: CSV, Parquet, NetCDF."""

from __future__ import annotations

import hashlib
import json
import mimetypes
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mpbf_abm.errors import ConfigurationError, did_you_mean
from mpbf_abm.outputs import RECORD, write_pages
from mpbf_abm.provenance import version
from mpbf_abm.studies.files import write_study
from mpbf_abm.studies.report import methods
from mpbf_abm.studies.results import Results

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
        raise ConfigurationError(
            f"--to = '{form}': must be one of {', '.join((*FORMATS, 'crate'))}{did_you_mean(form, (*FORMATS, 'crate'))}"
        )
    study = folder / "study.toml"
    write_pages(folder, {study.name: write_study(results.study)})
    if form == "netcdf":
        return [study, _netcdf(results, folder / "results.nc")]
    tables: dict[str, Callable[[], pd.DataFrame]] = {
        "runs": lambda: results.runs,
        "outcomes": lambda: results.outcomes,
        "failures": lambda: results.failures,
        "timings": lambda: timings(results),
    }
    if results.study.series.of:
        tables["series"] = results.series
    return [study, *(_write(table(), folder / f"{name}.{form}") for name, table in tables.items())]


def timings(results: Results) -> pd.DataFrame:
    """Seconds, attempts and machine of each run."""
    import pandas as pd

    rows = [row for row in results.store.seconds() if row[0] in results.places]
    frame = pd.DataFrame(rows, columns=["run", "status", "seconds", "attempts", "environment"])
    names = {n: json.dumps(e, sort_keys=True) for n, e in results.store.environments().items()}
    frame["environment"] = frame["environment"].map(names)
    return frame.sort_values("run", ignore_index=True)


def _write(frame: pd.DataFrame, path: Path) -> Path:
    if path.suffix == ".csv":
        write_pages(path.parent, tables={path.stem: frame})
        return path
    # Columns of mixed kinds are written as words.
    mixed = [c for c in frame if frame[c].dtype == object and frame[c].map(type).nunique() > 1]
    try:
        frame.astype(dict.fromkeys(mixed, str)).to_parquet(path, index=False)
    except ImportError:
        raise ConfigurationError("--to parquet needs pyarrow: pip install 'mpbf_abm[study]'") from None
    return path


def _netcdf(results: Results, path: Path) -> Path:
    """Arrays by scenario, arm and replicate (NetCDF 3), with a dimension of ticks for series."""
    from scipy.io import netcdf_file

    file: Any
    with netcdf_file(path, "w") as file:
        file.title, file.source = results.study.name, "mpbf_abm"
        file.history = f"study {results.study.name}, results {results.hash}"
        S, A, R = results.shape
        for name, size in (("scenario", S), ("arm", A), ("replicate", R)):
            file.createDimension(name, size)
        _text(file, "arm_label", "arm", results.arm_names)
        for column in results.plan.scenarios.names:
            values = results.scenarios[column]
            if values.dtype.kind in "iufb":
                variable: Any = file.createVariable(_free(file, column), "d", ("scenario",))
                variable[:] = values.to_numpy(np.float64)
                variable.long_name = column.encode()
            else:
                _text(file, _free(file, column), "scenario", [str(v) for v in values])
        status: Any = file.createVariable("status", "b", ("scenario", "arm", "replicate"))
        status[:] = results.status
        status.long_name = "0 missing, 1 done, 2 failed"
        for name in results.definitions:
            variable = file.createVariable(_free(file, name), "d", ("scenario", "arm", "replicate"))
            variable[:] = results.values(name)
            variable.long_name = name.encode()
        if results.study.series.of:
            file.createDimension("tick", len(results.series_ticks))
            tick = file.createVariable("tick", "i", ("tick",))
            tick[:] = results.series_ticks.astype(np.int32)
            for name in results.study.series.of:
                place = ("scenario", "arm", "replicate", "tick")
                variable = file.createVariable(_free(file, f"series_{name}"), "d", place)
                variable[:] = results.series_values(name)
                variable.long_name = name.encode()
    return path


def _text(file: Any, name: str, dimension: str, texts: list[str]) -> None:
    """A variable of words, as NetCDF 3 has them: characters with a length."""
    width = max(1, *(len(t.encode()) for t in texts))
    file.createDimension(f"{name}_length", width)
    variable = file.createVariable(name, "c", (dimension, f"{name}_length"))
    variable[:] = np.array([t.encode().ljust(width) for t in texts], f"S{width}").view("S1").reshape(len(texts), width)


def _free(file: Any, name: str) -> str:
    """Name that NetCDF takes and that is not taken yet."""
    plain = "".join(c if c.isascii() and (c.isalnum() or c == "_") else "_" for c in name)
    number, free = 1, plain
    while free in file.variables:
        number += 1
        free = f"{plain}_{number}"
    return free


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
    paths = export(results, folder, "csv")
    told = folder / "methods.md"
    write_pages(folder, {told.name: methods(results) + "\n"})
    paths.append(told)
    crate = ROCrate()
    crate.name = results.study.name
    crate.description = results.study.question or f"Runs of the study {results.study.name}"
    crate.license = license
    crate.datePublished = datetime.now(UTC)
    crate.root_dataset["conformsTo"] = crate.add(
        ContextEntity(crate, PROFILE, {"@type": "CreativeWork", "name": "Process Run Crate", "version": "0.5"})
    )
    files = {}
    for path in [*paths, folder / RECORD]:
        about: dict[str, Any] = {
            "name": WORDS.get(path.name, path.stem),
            "encodingFormat": mimetypes.guess_type(path.name)[0] or "text/plain",
        }
        if path.name != RECORD:
            # The record has the hashes of all files, this description included, and one of itself; it is finished last.
            about |= {"contentSize": path.stat().st_size, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
        files[path.name] = crate.add_file(path, path.name, properties=about)
    software = crate.add(
        ContextEntity(
            crate,
            "#mpbf_abm",
            {
                "@type": "SoftwareApplication",
                "name": "mpbf_abm",
                "softwareVersion": version(),
                "description": f"source {results.plan.fingerprint}",
                "softwareRequirements": sorted(
                    {
                        f"{k} {v}"
                        for e in results.store.environments().values()
                        for k, v in e.items()
                        if k not in ("host", "mpbf_abm")
                    }
                ),
            },
        )
    )
    action: dict[str, Any] = {
        "@type": "CreateAction",
        "name": f"mpbf study run {results.study.name}",
        "instrument": {"@id": software.id},
        "object": {"@id": files["study.toml"].id},
        "result": [{"@id": f.id} for name, f in files.items() if name != "study.toml"],
        "description": f"results {results.hash}",
        "endTime": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    if author:
        person = crate.add(Person(crate, f"#{'-'.join(author.lower().split())}", {"name": author}))
        crate.root_dataset["author"] = person
        action["agent"] = {"@id": person.id}
    crate.root_dataset["mentions"] = crate.add(ContextEntity(crate, "#run", action))
    crate.metadata.write(folder)
    return [*paths, folder / "ro-crate-metadata.json"]
