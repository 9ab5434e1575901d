"""Results of a study for others: the report in Markdown, tables that other programs read, the crate for an archive."""

from __future__ import annotations

import hashlib
import json
import mimetypes
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mpbf_abm.errors import ConfigurationError, did_you_mean, lines_where
from mpbf_abm.outputs import RECORD, descriptions, inline, markdown_table, write_pages
from mpbf_abm.parameters import PATHS, schema
from mpbf_abm.provenance import version
from mpbf_abm.studies.analyses import Analysis, distributions
from mpbf_abm.studies.definition import Arm
from mpbf_abm.studies.design import Factor
from mpbf_abm.studies.files import write_study
from mpbf_abm.studies.results import COUNTED, DONE, FAILED, Results, frame

if TYPE_CHECKING:
    import pandas as pd

# Columns of tables that are printed; of the others all are.
SHOWN = {
    "effects": "outcome arm role baseline treated difference low high smallest verdict share_better share_harmed vrf "
    "units",
    "distributions": "outcome arm runs mean median p10 p90 bimodality share_low share_high",
    "criteria": "criterion arm value rank first_share honest",
    "indices": "outcome factor first first_low first_high total total_low total_high above_floor stochastic_share "
    "rows replicates",
    "box": "factor restricted low high quasi_p reproduced",
    "trajectory": "step chosen restricted coverage density mass held_out_coverage held_out_density",
    "generalised": "series factor first total",
}
MORRIS = "outcome factor mu_star floor size size_low size_high spread above_floor trajectories replicates"
LEFT_OUT = ("regret", "points", "along", "phase")
TITLES = {
    "phase": "Phase diagram",
    "compare": "Effects of policies",
    "robustness": "Robustness",
    "sensitivity": "Sensitivity",
    "discover": "Scenario discovery",
}
DESIGNS = {
    "single": "one setting of the parameters",
    "grid": "a full grid",
    "one_at_a_time": "one factor at a time",
    "lhs": "a Latin hypercube sample",
    "sobol": "a scrambled Sobol sequence",
    "morris": "Morris trajectories",
    "saltelli": "a Saltelli design on a scrambled Sobol sequence",
    "table": "a given table",
}
KEYED = "share every random draw that they have in common, keyed by decision, tick and agent"
SHARED = {
    "policies": f"Arms of a scenario {KEYED}",
    "all": f"All arms and scenarios {KEYED}",
    "none": "Runs are independent",
}
# Of a custom model no more is known than the seeds that it is given.
SEEDED = {
    "policies": "Arms of a scenario are given the same seeds",
    "all": "All arms and scenarios are given the same seeds",
    "none": "Each run is given a separate seed",
}
ANALYSED = (
    "Effects are paired differences with simultaneous 95 % intervals by a max-t bootstrap; proportions have Wilson "
    "intervals; Sobol and Morris measures have the noise of replicates taken out and bootstrap percentile intervals; "
    "boxes of scenario discovery are judged on a held-out half."
)


def report(
    results: Results, analyses: Sequence[Analysis], figures: Mapping[str, str], refused: Sequence[str] = ()
) -> str:
    """Write the report.

    Parameters
    ----------
    results : Results
    analyses : sequence of Analysis
    figures : mapping of str to str
        Paths of figures, as seen from the report, by kind of analysis.
    refused : sequence of str
        Analyses the design does not support, and why.
    """
    study = results.study
    lines = [f"# {study.name}"] + ["", inline(study.question)] * bool(study.question)
    sections = [("Methods", [methods(results)]), ("Parameters", parameters(results)), ("Arms", arms(results))]
    sections.append(("Runs", counts(results)))
    if not any(a.kind == "compare" for a in analyses):
        sections.append(("Distributions", table(distributions(results), SHOWN["distributions"])))
    sections += [(TITLES[analysis.kind], part_of(analysis, figures.get(analysis.kind))) for analysis in analyses]
    if refused:
        sections.append(("Not possible with this design", [f"- {inline(reason)}" for reason in refused]))
    for title, part in sections:
        lines += ["", f"## {title}", "", *part]
    return "\n".join(lines).rstrip() + "\n"


def part_of(analysis: Analysis, figure: str | None) -> list[str]:
    """Return what the report says of an analysis: figure, notes and tables."""
    part = [f"![{TITLES[analysis.kind]}]({figure})", ""] if figure is not None else []
    part += [f"- {inline(note)}" for note in analysis.notes]
    shown = SHOWN | ({"effects": MORRIS} if analysis.kind == "sensitivity" else {})
    for name in (n for n in analysis.tables if n not in LEFT_OUT):
        part += ["", f"### {name.capitalize()}", "", *table(analysis.tables[name], shown.get(name, ""))]
    return part


def methods(results: Results) -> str:
    """Say in one paragraph how the study was made, for a paper's methods section."""
    study, status, rule = results.study, results.status, results.study.replicates
    done, failed = int((status == DONE).sum()), int((status == FAILED).sum())
    scenarios, each, replicates = (
        f"{n} {word}{'s' * (n > 1)}" for n, word in zip(results.shape, ("scenario", "arm", "replicate"), strict=True)
    )
    over = f" over {len(study.factors)} factors" if study.factors else ""
    precise = f" (as many as precision took, at least {rule.least}, at most {rule.most}, look ahead {rule.look_ahead})"
    history = (
        "a history of each replicate"
        if study.branch and study.branch.history == "own"
        else "one history of each scenario"
    )
    missing = status.size - done - failed
    model = f"model {inline(study.own_model)}" if study.own_model else "the ecosystem model"
    machines = {e.get("python", "?") + ", numpy " + e.get("numpy", "?") for e in results.store.environments().values()}
    seconds = sum(row[2] for row in results.store.seconds())
    runs = f"{scenarios} ({DESIGNS[study.design.kind]}{over}), {each}, {replicates} of each{precise * study.adaptive}"
    made = f"{model} (source {results.plan.fingerprint[:12]}), Python {'; Python '.join(sorted(machines))}"
    parts = lines_where(
        (True, f"{study.name}: {runs}; {study.ticks} ticks; root seed {study.seed}."),
        (True, f"{(SEEDED if study.own_model else SHARED)[study.crn]} (common random numbers: {study.crn})."),
        (study.branch, f"Arms branch at tick {study.branch.tick if study.branch else 0} from {history}."),
        (study.primary, f"Primary outcomes, declared before running: {inline(', '.join(study.primary))}."),
        (not study.primary, "No outcome was declared primary; all results are exploratory."),
        (True, ANALYSED),
        (True, f"{status.size} runs planned, {done} done, {failed} failed{f', {missing} missing' if missing else ''}."),
        (
            True,
            f"Made with mpbf_abm {version()}, {made}; {seconds / 3600:.2g} processor hours; results {results.hash}.",
        ),
    )
    return " ".join(parts)


def parameters(results: Results) -> list[str]:
    """Return a table of what varies and what differs from the preset, with unit and source."""
    study = results.study
    known = {row["path"]: row for row in schema()}
    rows = []
    for name, value in study.parameters.items():
        paths = value.targets if isinstance(value, Factor) else (name,)
        first, head = known.get(paths[0], {}), f"`{name}`" if name in PATHS else inline(name)
        note = first.get("help", "") if len(paths) == 1 else f"moves {inline(', '.join(paths))}"
        rows.append((head, inline(span(value)), first.get("unit", "1"), first.get("source", "of the study"), note))
    rest = f"All {'others' if rows else 'parameters'} are those of the preset `{study.preset}`."
    if study.own_model:
        rest = "These are all that the model is given." if rows else "The model is given none."
    table = markdown_table(("parameter", "value", "unit", "source", "meaning"), rows).splitlines()
    return [rest, *(["", *table] if rows else [])]


def span(value: Any) -> str:
    """Value or range of a parameter in words."""
    if not isinstance(value, Factor):
        return f"{value}"
    if value.values:
        return " | ".join(str(v) for v in value.values)
    return f"{value.low:g} to {value.high:g}" + (" (log)" if value.scale == "log" else "")


def arms(results: Results) -> list[str]:
    """Return a table of the arms and what they do when."""
    rows = [(inline(arm.label), inline(described(arm))) for arm in results.plan.arms]
    lines = markdown_table(("arm", "what it adds"), rows).splitlines()
    shocks = "; ".join(map(_event, results.study.shocks))
    return lines + (["", f"In every arm: {inline(shocks)}."] if shocks else [])


def described(arm: Arm) -> str:
    """Policies, shocks and parameters of an arm in words."""
    parts = [_event(e) for e in arm.events] + [f"{path} = {value}" for path, value in arm.parameters.items()]
    return "; ".join(parts) or "nothing"


def _event(event: Any) -> str:
    words = f"{event.name} from tick {event.start}" + ("" if event.end is None else f" to {event.end}")
    if event.strength is not None:
        words += f" at {event.strength:g}"
    elif (usual := event.usual) is not None:
        words += f" at {usual:g} (usual)"
    slopes = {name: getattr(event, name, 0) for name in ("ramp", "fade")}
    moved = ", ".join(f"{path} = {value}" for path, value in getattr(event, "set", {}).items())
    words += "".join(f", {name} {ticks}" for name, ticks in slopes.items() if ticks)
    return words + (f" ({moved})" if moved else "")


def counts(results: Results) -> list[str]:
    """Return a table of runs by arm and status, and the failures by what they said."""
    lines = markdown_table(COUNTED, [(inline(arm), *runs) for arm, *runs in results.counted]).splitlines()
    failures = results.failures
    if len(failures):
        grouped = failures.groupby(["arm", "stage", "type", "message"]).size().reset_index(name="runs")
        lines += ["", "Failures:", "", *table(grouped)]
    return lines


def table(rows: pd.DataFrame, columns: str = "") -> list[str]:
    """Return a table as Markdown; numbers with four digits."""
    shown = [c for c in (columns.split() or rows.columns) if c in rows.columns]
    cells = [tuple(map(_cell, row)) for row in rows[shown].itertuples(index=False)]
    return markdown_table([inline(str(c).replace("_", " ")) for c in shown], cells).splitlines()


def _cell(value: Any) -> str:
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "no"
    if isinstance(value, (float, np.floating)):
        return "" if np.isnan(value) else f"{value:.4g}"
    return "" if value is None else inline(str(value))


# --------------------------------------------------------------------------- export

# Results in files that other programs read: CSV, Parquet, NetCDF.

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

# A study as a research object for an archive: an RO-Crate after the profile Process Run Crate, of the version that the
# installed rocrate writes (its description says which).

MADE = "what made these files, and their hashes"
PROFILE = "https://w3id.org/ro/wfrun/process/0.5"


def write_crate(results: Results, folder: Path, *, license: str, author: str = "") -> list[Path]:
    """Write a study's tables, a paragraph of methods and their description as an RO-Crate.

    Parameters
    ----------
    results : Results
    folder : Path
        Where the record of the export is begun.
    license : str
        Address of the licence under which the results may be used; it is for their owner to choose.
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
    crate.name, crate.description = study.name, inline(study.question) or f"Runs of the study {study.name}"
    crate.license, crate.datePublished = license, datetime.now(UTC)

    def entity(id: str, kind: str, **properties: Any) -> Any:
        return crate.add(ContextEntity(crate, id, {"@type": kind, **properties}))

    crate.root_dataset["conformsTo"] = entity(PROFILE, "CreativeWork", name="Process Run Crate", version="0.5")
    files = {path.name: crate.add_file(path, path.name, properties=_about(path)) for path in (*paths, folder / RECORD)}
    machines, source = results.store.environments().values(), f"source {results.plan.fingerprint}"
    needs = sorted({f"{k} {v}" for e in machines for k, v in e.items() if k != "mpbf_abm"})
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


def _about(path: Path) -> dict[str, Any]:
    """Return what a crate says of a file."""
    kind, held = mimetypes.guess_type(path.name)[0] or "text/plain", descriptions()["export"]
    words = held["files"] | {name: said for name, (said, *_) in held["tables"].items()} | {RECORD: MADE}
    about: dict[str, Any] = {"name": words.get(path.name, path.stem), "encodingFormat": kind}
    if path.name == RECORD:
        # It has the hashes of all files, the crate's description included, and one of itself; it is finished last.
        return about
    return about | {"contentSize": path.stat().st_size, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
