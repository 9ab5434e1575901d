"""Materials spaces made of data: a table of formulas, and what a pool of settings shares with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

from mpbf_abm.arrays import Float, Float32, Int
from mpbf_abm.data import chemistry
from mpbf_abm.data.synthetic import adjacent_similarity, knn_similarity, largest, named, top_set
from mpbf_abm.data.tables import Columns, Merged, Rule, Sought, Table, TableCheck, alone, listed, merge
from mpbf_abm.errors import DataError, one_line, refuse
from mpbf_abm.streams import Streams

Goal = Literal["max", "min"]
OnError = Literal["raise", "drop"]

COLUMN_VARIANCE = 0.8  # mean variance of a quantum column, as in the synthetic space
QUANTUM_WIDTH = 24
GAUGE_WIDTH = 6
MOST_FAMILIES = 40
DENSE_SHARE = 0.1
EACH = 20  # so many formulas that cannot be read have a line each
FARTHEST = 1e4  # simulated values further off than this many sd are in another unit


def from_table(
    table: Table,
    *,
    formula: str,
    measured: Columns,
    simulated: Columns | None = None,
    year: str | None = None,
    family: str | None = None,
    goal: Goal | Sequence[Goal] = "max",
    on_error: OnError = "raise",
    unit: Columns | None = None,
    simulated_unit: Columns | None = None,
    duplicates: Rule = "mean",
    families: int | None = None,
    min_family: int = 20,
    similarity: Literal["descriptors", "elements"] = "descriptors",
    top_share: float = 0.01,
    seed: int = 0,
) -> dict[str, Any]:
    """Read a space from a table of formulas and measured values: the fields of a ``MaterialsSpace``.

    Rows of the same reduced composition become one material; the first year is kept. Descriptors are elemental
    statistics (:func:`mpbf_abm.data.chemistry.descriptors`), standardised and rotated to their principal axes.

    Parameters
    ----------
    table : path or DataFrame
        A file of delimited text (``.csv``, ``.tsv``, ``.txt``), JSON (``.json``, ``.jsonl``) or Parquet
        (:mod:`mpbf_abm.data.tables`).
    formula : str
        Column of the formula.
    measured : str or sequence of str
        Column of the measured property, or columns of several (at most 64). Of several, cells may be empty: a material
        needs a number in each column, in whatever row of its composition; rows of others are faulty.
    simulated : str or sequence of str, optional
        Columns of the simulated properties, in the order of `measured`. Without one, or with '' in its place,
        simulation of that property is exact.
    year : str, optional
        Column of the year of first report.
    family : str, optional
        Column that names the family; taken as it is. Without it, families follow chemistry.
    goal : {"max", "min"}, or a sequence of them
        Whether a large or a small value is sought. Like both units, one for all properties or one for each.
    on_error : {"raise", "drop"}
        Whether faulty rows are refused or left out (then listed in ``origin["dropped"]``).
    unit : str or sequence of str, optional
        Unit of the property; the name of the measured column if not given, or ''.
    simulated_unit : str or sequence of str, optional
        Unit of the simulated column, converted to `unit`; the same if not given, or ''.
    duplicates : {"mean", "median", "first", "raise"}
        What becomes of rows of the same composition. Those that contradict each other are in ``origin["conflicts"]``.
    families : int, optional
        Largest number of families by chemistry; 40, or fewer in a small table, if not given.
    min_family : int
        Materials a family by chemistry should have at least (a third of the mean family if that is more).
    similarity : {"descriptors", "elements"}
        Whether families are similar by the distance of their mean descriptors, or by the elements of their materials
        (:func:`mpbf_abm.data.families.adjacent_similarity`).
    top_share : float
        Share of the materials in the top set.
    seed : int
        Seed of the direction of the misaligned objective (``proxy``).

    Raises
    ------
    DataError
        With one line per fault, all at once.
    """
    measured, simulated, goal, unit, simulated_unit = map(alone, (measured, simulated, goal, unit, simulated_unit))
    options = options_of(locals())
    check = TableCheck(table, goal=goal, on_error=on_error, duplicates=duplicates, top_share=top_share, seed=seed)
    check.choice("similarity", similarity, ("descriptors", "elements"))
    check.whole("min_family", min_family)
    if families is not None:
        check.whole("families", families)
    texts = check.texts(formula, "formula")
    sought = check.sought("measured", measured, goal, unit)
    models = _simulated(check, simulated, simulated_unit, sought)
    years = None if year is None else check.numbers(year, "year")
    groups = None if family is None else check.texts(family, "family")
    _check_formulas(check, formula, texts)
    keep = check.finish()

    names = [texts[i] for i in keep]
    fractions = chemistry.composition_matrix(names)
    keys = chemistry.composition_keys(fractions)
    if len(sought) > 1:
        whole = check.complete([*sought, *(m for m in models if m.name)], keep, keys)
        keep, fractions, names, keys = keep[whole], fractions[whole], *([x[i] for i in whole] for x in (names, keys))
    rows = check.merged(sought, keep, keys, names.__getitem__)
    fractions = fractions[rows.first]
    points, explained = _principal(chemistry.descriptors(fractions))
    named = None if groups is None else [groups[i] for i in keep[rows.first]]
    number, labels = _families(fractions, points, named, families, min_family)
    order = np.argsort(number, kind="stable")
    fields = fields_of(rows, points, number, labels, top_share, seed)
    if similarity == "elements":
        fields["similarity"] = _by_elements(fractions[order], fields["start"])
    if any(model.name for model in models):
        fields |= {"simulated": _shifted(check, models, keep, rows)[:, order].ravel(), "has_simulated": True}
    fields["dims"]["gauge"] = GAUGE_WIDTH
    if years is not None:
        fields["year"] = pd.Series(years[keep].astype(np.int64)).groupby(rows.same).min().to_numpy()[order]
    about = {"families": len(labels), **rows.notes, "explained_variance": explained}
    origin = {**check.origin("table", options), "materials": len(order), **about}
    return fields | {"origin": origin}


def options_of(given: dict[str, Any]) -> dict[str, Any]:
    """Keep the arguments of a call without its data, as values that JSON can hold."""
    plain = {k: list(v) if isinstance(v, (list, tuple)) else v for k, v in given.items() if k != "table"}
    return {k: {n: list(x) for n, x in v.items()} if isinstance(v, Mapping) else v for k, v in plain.items()}


def _simulated(
    check: TableCheck, columns: Columns | None, unit: Columns | None, sought: Sequence[Sought]
) -> list[Sought]:
    """Return the simulation of each property in the unit of the measured column: without a name that column itself."""
    names = listed(columns)
    if len(names) > len(sought):
        check.faults.append(f"simulated: {len(names)} columns for {len(sought)} measured; each belongs to one of them")
    check.faults += ["simulated_unit needs simulated"] * (unit is not None and not names)
    units = check.one_each("simulated_unit", unit, len(sought))
    models = [s._replace(name="") for s in sought]
    for t, (s, name, own) in enumerate(zip(sought, names, units, strict=False)):
        if name:
            values = check.numbers(name, "simulated", gaps=len(sought) > 1)
            models[t] = s._replace(name=name, values=check.converted(values, own, s.unit) if own else values)
    return models


def _shifted(check: TableCheck, models: Sequence[Sought], keep: Int, rows: Merged) -> Float32:
    """Return the simulated properties of every material, in sd of the measured one from its mean (T, n)."""
    made, faults = rows.values.copy(), []
    for t, (model, quantity) in enumerate(zip(models, rows.quantities, strict=True)):
        if not model.name:
            continue
        given = np.isfinite(model.values[keep])
        values = merge(model.values[keep[given]], rows.same[given], check.duplicates)
        shifted = (values - quantity.mean) / quantity.sd
        if np.abs(shifted).max() > FARTHEST:
            far = f"'{model.name}' lies up to {np.abs(shifted).max():.1g} sd from the mean of '{quantity.name}'"
            faults.append(f"{check.label}: column {far}; both must have the same unit")
        made[t] = shifted
    refuse(faults, faults, DataError)
    return made


def _check_formulas(check: TableCheck, column: str, texts: list[str]) -> None:
    """Note the texts that cannot be read as a formula, with the reason."""
    reasons: dict[str, str] = {}
    for text in dict.fromkeys(texts):
        try:
            chemistry.parse(text)
        except chemistry.FormulaError as error:
            reasons[text] = str(error)
    fault = f"column '{column}': {{count}} that cannot be read as a formula"
    wrong = [text for text in reasons if text]
    for part in [{text} for text in wrong] if len(wrong) <= EACH else [{*wrong}]:
        bad = np.array([text in part for text in texts], bool)
        check.rows(bad, fault, lambda i: f"'{texts[i]}': {reasons[texts[i]]}")


# --------------------------------------------------------------------------- from rows to arrays


def fields_of(
    rows: Merged, points: Float, number: Int, labels: tuple[str, ...], share: float, seed: int
) -> dict[str, Any]:
    """Return the fields of a space of merged rows, by rising family; simulation is exact."""
    order = np.argsort(number, kind="stable")
    start = np.concatenate([[0], np.cumsum(np.bincount(number))]).astype(np.int64)
    stored, standard = points[order].astype(np.float32), np.ascontiguousarray(rows.values[:, order])
    n = len(order)
    feasible = np.ones(n, bool)
    return {
        "descriptors": stored,
        "dims": {"quantum": stored.shape[1], "meso": 0, "gauge": 0, "spurious": 0},
        "start": start,
        "property": standard.ravel(),
        "simulated": standard.flatten(),
        "difficulty": np.ones(n, np.float32),
        "feasible": feasible,
        "proxy": np.concatenate([_proxy(stored, y, Streams(seed), t) for t, y in enumerate(standard)]),
        "similarity": _similarity(stored, start),
        "family_keys": np.arange(len(labels)),
        "material_keys": np.arange(n),
        "top": np.concatenate([top_set(y, feasible, share) for y in standard]),
        "dense": largest(np.diff(start), DENSE_SHARE),
        "family_names": labels,
        "names": tuple(rows.names[i] for i in order),
        "quantities": rows.quantities,
        "has_simulated": False,
    }


def _families(
    fractions: csr_array, points: Float, named: list[str] | None, families: int | None, least: int
) -> tuple[Int, tuple[str, ...]]:
    """Return the family of each material and the names of families: those given, by falling size, or by chemistry."""
    if named is not None:
        names, number, count = np.unique(named, return_inverse=True, return_counts=True)
        order = np.argsort(-count, kind="stable")
        return np.argsort(order)[number], tuple(names[order].tolist())
    n = len(points)
    most = families or min(MOST_FAMILIES, max(1, n // (2 * least)))
    # Parts far below the mean would use up the families before the largest group is split.
    return chemistry.chemical_families(fractions, points, most, max(least, n // (3 * most)))


def to_variance(columns: Float) -> Float:
    """Scale a matrix as a whole so that its columns have the mean variance of the synthetic space."""
    centred = columns - columns.mean(axis=0)
    return np.asarray(centred * np.sqrt(COLUMN_VARIANCE / float(centred.var(axis=0).mean())), np.float64)


def _principal(raw: Float) -> tuple[Float, float]:
    """Return principal axes of the standardised descriptors, at most 24, and the share of variance they hold."""
    spread = raw.std(axis=0)
    varies = spread > 1e-9 * (1 + np.abs(raw).max(axis=0))
    standard = (raw[:, varies] - raw[:, varies].mean(axis=0)) / spread[varies]
    power, axes = np.linalg.eigh(standard.T @ standard)
    keep = np.flatnonzero(power > 1e-10 * power[-1])[::-1][:QUANTUM_WIDTH]
    axes = axes[:, keep]
    # An axis has no direction: its largest loading is made positive.
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])])
    return to_variance(standard @ axes), float(power[keep].sum() / power.sum())


def _proxy(columns: Float32, standard: Float32, streams: Streams, number: int) -> Float32:
    """Build a misaligned objective: a direction among the descriptors with its share of the property taken out."""
    y = standard.astype(np.float64) - float(standard.mean(dtype=np.float64))
    direction = streams.normal(named("space.proxy", number), 0, columns.shape[1])
    # Where the descriptors are the property itself nothing is left of them, and noise takes their place.
    for values in (columns @ direction, streams.normal(named("space.proxy.noise", number), 0, len(y))):
        centred = values - values.mean()
        rest = centred - y * (centred @ y) / (y @ y)
        if rest.std() > 1e-3 * centred.std():
            return np.asarray(rest / rest.std(), np.float32)
    return np.zeros(len(y), np.float32)


def _similarity(points: Float32, start: Int) -> Float:
    """Return the family graph by distance of descriptor means, in units of the median distance."""
    centres = np.add.reduceat(points.astype(np.float64), start[:-1], axis=0) / np.diff(start)[:, None]
    squared = ((centres[:, None] - centres[None]) ** 2).sum(axis=2)
    unit = float(np.median(squared[squared > 0])) if (squared > 0).any() else 1.0
    return knn_similarity(np.exp(-squared / unit))


def _by_elements(fractions: csr_array, start: Int) -> Float:
    """Return the family graph by the elements that occur in each family."""
    present = np.add.reduceat(fractions.toarray() > 0, start[:-1], axis=0, dtype=np.int64) > 0
    return adjacent_similarity(chemistry.element_edits(present))


# --------------------------------------------------------------------------- tables of public collections
def matminer(name: str, *, data_home: str | None = None, download: bool = True) -> pd.DataFrame:
    """Load a data set of matminer (Ward et al., Comput. Mater. Sci. 152, 60, 2018) as a table.

    Where a set has structures instead of formulas, a column ``formula`` is made of them.

    Parameters
    ----------
    name : str
        As in ``matminer.datasets.get_available_datasets()``; the sets of Matbench are among them.
    data_home : str, optional
        Folder of downloaded sets; matminer's own if not given.
    download : bool
        Whether a set that is not in the folder is fetched.

    Raises
    ------
    DataError
        If matminer is not installed, does not know the set, or cannot load it.
    """
    try:
        from matminer.datasets import load_dataset
    except ImportError as error:
        raise DataError("data sets of matminer need it: pip install 'mpbf_abm[matminer]'") from error
    try:
        table = load_dataset(name, data_home=data_home, download_if_missing=download)
    except (ValueError, OSError, UserWarning) as error:
        raise DataError(f"matminer: '{name}' cannot be loaded ({one_line(error)})") from error
    structures = [c for c in table.columns if hasattr(table[c].iloc[0], "composition")]
    if structures and "formula" not in table.columns:
        table["formula"] = [structure.composition.reduced_formula for structure in table[structures[0]]]
    return _named(table.drop(columns=structures), f"matminer: {name}")


def materials_project(
    fields: list[str], *, search: Mapping[str, Any], api_key: str | None = None, **client: Any
) -> pd.DataFrame:
    """Fetch summaries of the Materials Project (Jain et al., APL Mater. 1, 011002, 2013) as a table.

    Parameters
    ----------
    fields : list of str
        Fields of a summary, such as ``formula_pretty``, ``band_gap``, ``energy_above_hull``.
    search : mapping
        What to look for, as arguments of ``MPRester.materials.summary.search``: ``{"elements": ["O"], "is_stable":
        True}``.
    api_key : str, optional
        Key of the user; the client takes that of ``MP_API_KEY`` otherwise.
    **client
        Further arguments of ``mp_api.client.MPRester``.

    Raises
    ------
    DataError
        If mp-api is not installed, the query is refused or nothing is found.
    """
    try:
        from mp_api.client import MPRester
    except ImportError as error:
        raise DataError("the Materials Project needs its client: pip install 'mpbf_abm[materials-project]'") from error
    try:
        with MPRester(api_key, mute_progress_bars=True, **client) as rester:
            found = rester.materials.summary.search(fields=fields, all_fields=False, **search)
    except Exception as error:  # the client raises errors of many unrelated types
        raise DataError(f"Materials Project: {type(error).__name__}: {one_line(error)}") from error
    if not found:
        raise DataError(f"Materials Project: nothing is found for {dict(search)}")
    rows = [{field: getattr(document, field) for field in fields} for document in found]
    return _named(pd.DataFrame(rows), "Materials Project")


def _named(table: pd.DataFrame, source: str) -> pd.DataFrame:
    """Tell what reads the table where it is from."""
    table.attrs["source"] = source
    return table
