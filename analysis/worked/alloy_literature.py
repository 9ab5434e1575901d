"""The literature on multi-principal-element alloys, and a space that does not say what it will work on.

A family is a set of elements. The record is restricted to the sets that the space holds (3 to 6 of the 14 elements most
used), and the space holds all of these.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mpbf_abm.data import chemistry
from mpbf_abm.model.materials import MaterialsSpace

Float = NDArray[np.float64]
Int = NDArray[np.int64]

TABLE = "mpea/MPEA_dataset.csv"
COLUMNS = {
    "IDENTIFIER: Reference ID": "reference_id",
    "FORMULA": "formula",
    "PROPERTY: HV": "HV",
    "REFERENCE: year": "year",
}
ELEMENTS, SIZES = 14, (3, 4, 5, 6)
FIRST, LAST = 2004, 2019
UNREPORTED = 9_999  # year of what nobody has reported
SMOOTHING = 3.0  # of the hardness surface; the best of five by leaving tenths of the families out
WIDTH = 24  # principal axes of composition that it is fitted on


def alloys(data: Path) -> pd.DataFrame:
    """Rows of the table: reference_id, formula, HV (Vickers hardness or NaN), year."""
    table = pd.read_csv(data / TABLE, encoding="utf-8-sig", usecols=list(COLUMNS))
    return table.rename(columns=COLUMNS)


def literature(data: Path) -> pd.DataFrame:
    """Events of the literature, one for each paper and set of elements: year, reference_id, system."""
    rows = alloys(data)
    symbols = chemistry.elements().symbols
    rows["system"] = ["-".join(sorted(symbols[z - 1] for z, _ in chemistry.parse(f))) for f in rows["formula"]]
    events = rows[["year", "reference_id", "system"]].drop_duplicates()
    return events.sort_values(["year", "reference_id"], kind="stable", ignore_index=True)


@lru_cache(maxsize=2)
def record(data: Path) -> pd.DataFrame:
    """Events of the literature whose family is in the space."""
    events = literature(data)
    sets = [frozenset(s.split("-")) for s in events["system"]]
    used = pd.Series([e for s in sets for e in s]).value_counts()
    alphabet = frozenset(used.index[:ELEMENTS])
    inside = [s <= alphabet and len(s) in SIZES for s in sets]
    return events[inside].reset_index(drop=True)


@lru_cache(maxsize=2)
def space(data: Path) -> MaterialsSpace:
    """All element sets of the space, one equimolar alloy each, with measured or estimated hardness and first year."""
    events = record(data)
    alphabet = sorted({e for s in events["system"] for e in s.split("-")})
    systems = ["-".join(c) for n in SIZES for c in combinations(alphabet, n)]
    hardness = estimated_hardness(data, [s.replace("-", "") for s in systems])
    first = events.groupby("system")["year"].min()
    materials = pd.DataFrame(
        {
            "formula": [s.replace("-", "") for s in systems],
            "system": systems,
            "HV": hardness,
            "year": [int(first.get(s, UNREPORTED)) for s in systems],
        }
    )
    return MaterialsSpace.from_table(
        materials, formula="formula", measured="HV", year="year", family="system", similarity="elements"
    )


def estimated_hardness(data: Path, formulas: list[str]) -> Float:
    """Vickers hardness of alloys: a smooth surface over composition, through the measured ones (n,)."""
    measured = measured_hardness(data)
    return surface(list(measured.index), np.asarray(measured, np.float64), formulas)


def measured_hardness(data: Path) -> pd.Series[float]:
    """Mean measured hardness of each composition of the table, by formula."""
    return alloys(data).dropna(subset=["HV"]).groupby("formula")["HV"].mean()


def surface(known: list[str], values: Float, asked: list[str]) -> Float:
    """Values at some formulas of a smoothed interpolant over descriptors, through known formulas (n,)."""
    from scipy.interpolate import RBFInterpolator

    raw = chemistry.descriptors(chemistry.composition_matrix([*known, *asked]))
    centre, spread = raw[: len(known)].mean(axis=0), raw[: len(known)].std(axis=0)
    varies = spread > 1e-9
    standard = (raw[:, varies] - centre[varies]) / spread[varies]
    _, _, axes = np.linalg.svd(standard[: len(known)], full_matrices=False)
    points = standard @ axes[:WIDTH].T
    points /= points[: len(known)].std(axis=0).mean()
    fit = RBFInterpolator(points[: len(known)], values, kernel="linear", smoothing=SMOOTHING)
    return np.asarray(fit(points[len(known) :]), np.float64)


def surface_skill(data: Path, parts: int = 10) -> float:
    """Share of variance of hardness that the surface explains in families it has not seen."""
    measured = measured_hardness(data)
    formulas, values = list(measured.index), measured.to_numpy(np.float64)
    family = pd.factorize(pd.Series([tuple(z for z, _ in chemistry.parse(f)) for f in formulas]))[0]
    guess = np.empty(len(values))
    for part in range(parts):
        out = family % parts == part
        guess[out] = surface(
            [f for f, o in zip(formulas, out, strict=True) if not o],
            values[~out],
            [f for f, o in zip(formulas, out, strict=True) if o],
        )
    return float(1 - ((guess - values) ** 2).sum() / ((values - values.mean()) ** 2).sum())


def present(materials: MaterialsSpace) -> NDArray[np.bool_]:
    """Elements of each family (K, E)."""
    systems = [name.split("-") for name in materials.family_names]
    alphabet = sorted({e for s in systems for e in s})
    return np.array([[e in s for e in alphabet] for s in systems], bool)


def real_events(data: Path) -> tuple[Int, Int]:
    """Year and family, as the space numbers them, of each event of the record."""
    events = record(data)
    number = {name: k for k, name in enumerate(space(data).family_names)}
    return events["year"].to_numpy(np.int64), np.array([number[s] for s in events["system"]], np.int64)
