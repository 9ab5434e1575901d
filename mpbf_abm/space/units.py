"""Units of properties, converted by pint (loaded when first needed)."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mpbf_abm.errors import DataError

if TYPE_CHECKING:
    import pint

Float = NDArray[np.float64]

LONGEST = 60
POWER_OF_NUMBER = re.compile(r"\d\s*(?:\*\*|\^)")


@lru_cache(maxsize=1)
def _registry() -> pint.UnitRegistry[float]:
    try:
        import pint
    except ImportError as error:
        raise DataError("converting units needs pint: pip install 'mpbf_abm[units]'") from error
    registry: pint.UnitRegistry[float] = pint.UnitRegistry()
    registry.define("atom = particle")  # as in eV/atom
    return registry


def convert(values: Float, unit: str, to: str) -> Float:
    """Express values in another unit.

    Parameters
    ----------
    values : float (n,)
    unit, to : str
        Units as in ``eV``, ``meV``, ``K``, ``degC``, ``S/cm``, ``kJ/mol``, ``eV/atom``.

    Raises
    ------
    DataError
        In one line: pint is not there, a unit is unknown, or the two do not belong together.
    """
    registry = _registry()
    units = []
    for text in (unit, to):
        # pint works powers of numbers out, however large.
        if len(text) > LONGEST or POWER_OF_NUMBER.search(text):
            raise DataError(f"'{text[:LONGEST]}' is no unit that can be converted")
        try:
            units.append(registry.Unit(text))
        except Exception as error:  # its parser raises errors of several unrelated types
            raise DataError(f"'{text}' is no unit that can be converted") from error
    if units[0].dimensionality != units[1].dimensionality:
        raise DataError(
            f"'{unit}' cannot be converted to '{to}': {units[0].dimensionality} against {units[1].dimensionality}"
        )
    return np.asarray(registry.Quantity(values, units[0]).to(units[1]).magnitude, np.float64)
