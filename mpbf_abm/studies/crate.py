"""A study as a research object: an RO-Crate 1.1 after the profile Process Run Crate, for an archive."""

from __future__ import annotations

import hashlib
import mimetypes
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mpbf_abm.errors import ConfigurationError
from mpbf_abm.outputs import RECORD, write_pages
from mpbf_abm.provenance import version
from mpbf_abm.studies.export import export
from mpbf_abm.studies.report import methods
from mpbf_abm.studies.results import Results

PROFILE = "https://w3id.org/ro/wfrun/process/0.5"
LICENSE = "https://spdx.org/licenses/CC-BY-4.0"
WORDS = {
    "study.toml": "the study: question, parameters, arms, replicates, outcomes", "runs.csv": "every run of the plan with its seed and status",
    "outcomes.csv": "outcomes, one row for each finished run", "series.csv": "series, one row for each run and stored tick",
    "failures.csv": "runs that failed, and why", "timings.csv": "seconds, attempts and machine of each run", "methods.md": "how the study was made, in a paragraph",
    RECORD: "what made these files, and their hashes",
}  # fmt: skip


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
            crate, "#mpbf_abm",
            {"@type": "SoftwareApplication", "name": "mpbf_abm", "softwareVersion": version(), "description": f"source {results.plan.fingerprint}",
             "softwareRequirements": sorted({f"{k} {v}" for e in results.store.environments().values() for k, v in e.items() if k not in ("host", "mpbf_abm")})},
        )
    )  # fmt: skip
    action: dict[str, Any] = {
        "@type": "CreateAction", "name": f"mpbf study run {results.study.name}", "instrument": {"@id": software.id},
        "object": {"@id": files["study.toml"].id}, "result": [{"@id": f.id} for name, f in files.items() if name != "study.toml"],
        "description": f"results {results.hash}", "endTime": datetime.now(UTC).isoformat(timespec="seconds"),
    }  # fmt: skip
    if author:
        person = crate.add(Person(crate, f"#{'-'.join(author.lower().split())}", {"name": author}))
        crate.root_dataset["author"] = person
        action["agent"] = {"@id": person.id}
    crate.root_dataset["mentions"] = crate.add(ContextEntity(crate, "#run", action))
    crate.metadata.write(folder)
    return [*paths, folder / "ro-crate-metadata.json"]
