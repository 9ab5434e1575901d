"""Alloys: the literature of 2004 to 2019, replayed.

python analysis/alloys.py --data DATA [--out results/alloys] [--replicates N] [--jobs N] [--doc docs/examples/alloys.md]
"""

import sys

from mpbf_abm.examples.alloys import EXAMPLE
from mpbf_abm.examples.page import main

if __name__ == "__main__":
    sys.exit(main(EXAMPLE))
