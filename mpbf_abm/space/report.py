"""What a space made of data holds, and what became of the rows of its table."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpbf_abm.space.materials import MaterialsSpace

Float = NDArray[np.float64]


def report(space: MaterialsSpace) -> dict[str, Any]:
    """Describe a space made of a table or pool, in plain values that JSON can hold.

    Returns
    -------
    dict
        ``source``, ``kind``, ``notes``; ``rows``, ``dropped``, ``merged``, ``replicate_sd``, ``conflicts``;
        ``materials``, ``unit``, ``goal``, ``property``, ``top``; ``families`` (a list, largest first); ``simulated``
        and ``years``, None where the table has none. Values are in the unit of the property.
    """
    origin = dict(space.origin)
    values = _values(space, space.property)
    simulated = _values(space, space.simulated) if space.has_simulated else None
    parts = [slice(a, b) for a, b in zip(space.start[:-1], space.start[1:], strict=True)]
    sd = origin["replicate_sd"]
    best = np.argsort(-space.property, kind="stable")[: min(5, int(space.top.sum()))]
    return {
        "source": origin["source"],
        "sha256": origin["sha256"],
        "kind": origin["kind"],
        "notes": origin["notes"],
        "rows": origin["rows"],
        "dropped": origin["dropped"],
        "merged": origin["merged"],
        "replicate_sd": None if sd is None else sd * abs(space.scale[1]),
        "conflicts": origin["conflicts"],
        "materials": space.size,
        "descriptors": space.width,
        "unit": space.unit,
        "goal": origin["options"]["goal"],
        "property": _range(values),
        "top": {"materials": int(space.top.sum()), "best": [_entry(space, values, i) for i in best.tolist()]},
        "families": [
            {
                "name": name,
                "materials": int(part.stop - part.start),
                **_range(values[part]),
                **_bias(values, simulated, part),
            }
            for name, part in zip(space.family_names, parts, strict=True)
        ],
        "simulated": None if simulated is None else _agreement(values, simulated),
        "years": None if space.year is None else [int(space.year.min()), int(space.year.max())],
    }


def _values(space: MaterialsSpace, standardised: NDArray[np.float32]) -> Float:
    """Values in their unit, without the digits that single precision makes up."""
    values = np.asarray(space.in_unit(standardised.astype(np.float64)), np.float64)
    return np.round(values, 5 - int(np.floor(np.log10(abs(space.scale[1]))))) + 0.0


def _entry(space: MaterialsSpace, values: Float, row: int) -> dict[str, Any]:
    return ({"name": space.names[row]} if space.names else {}) | {"value": float(values[row])}


def _range(values: Float) -> dict[str, float]:
    low, median, high = np.quantile(values, [0, 0.5, 1])
    return {"low": float(low), "median": float(median), "high": float(high), "sd": float(values.std())}


def _bias(values: Float, simulated: Float | None, part: slice) -> dict[str, float]:
    return {} if simulated is None else {"bias": float((simulated - values)[part].mean())}


def _agreement(values: Float, simulated: Float) -> dict[str, float | None]:
    """Compare simulated with measured values: mean and mean absolute difference, slope of one on the other, correlation."""
    error = simulated - values
    slope = float(np.cov(simulated, values, bias=True)[0, 1] / values.var())
    varies = float(simulated.std()) > 0
    return {
        "bias": float(error.mean()),
        "mean_absolute": float(np.abs(error).mean()),
        "slope": slope,
        "correlation": float(np.corrcoef(simulated, values)[0, 1]) if varies else None,
    }
