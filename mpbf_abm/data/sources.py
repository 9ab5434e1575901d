"""Tables from public collections, through the libraries that serve them (loaded only when asked for)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from mpbf_abm.errors import DataError


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
        raise DataError(f"matminer: '{name}' cannot be loaded ({' '.join(str(error).split())})") from error
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
        Key of the user; the client finds one in ``MP_API_KEY`` otherwise.
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
        raise DataError(f"Materials Project: {type(error).__name__}: {' '.join(str(error).split())}") from error
    if not found:
        raise DataError(f"Materials Project: nothing is found for {dict(search)}")
    rows = [{field: getattr(document, field) for field in fields} for document in found]
    return _named(pd.DataFrame(rows), "Materials Project")


def _named(table: pd.DataFrame, source: str) -> pd.DataFrame:
    """Tell what reads the table where it is from."""
    table.attrs["source"] = source
    return table
