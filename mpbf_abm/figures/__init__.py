"""Figures: what to look at.

They are written to files. A drawing backend that the environment names, such as that of a notebook whose shell runs
the program, is used where it can be, and never needed.
"""

import os
import sys
from contextlib import suppress

if "matplotlib" not in sys.modules:
    _asked = os.environ.pop("MPLBACKEND", None)
    import matplotlib

    if _asked is not None:
        os.environ["MPLBACKEND"] = _asked
        with suppress(ValueError):
            matplotlib.rcParams["backend"] = _asked
