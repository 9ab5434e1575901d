"""Cuprates: a community that has never seen one.

python analysis/cuprates.py --data DATA [--out results/cuprates] [--replicates N] [--jobs N] [--doc docs/examples/cuprates.md]
"""

import sys

from mpbf_abm.examples.cuprates import EXAMPLE
from mpbf_abm.examples.page import main

if __name__ == "__main__":
    sys.exit(main(EXAMPLE))
