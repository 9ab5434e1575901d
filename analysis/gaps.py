"""Gaps: a PBE-only community against one with a quota of measured labels.

python analysis/gaps.py --data DATA [--out results/gaps] [--replicates N] [--jobs N] [--doc docs/examples/gaps.md]
"""

import sys

from mpbf_abm.examples.gaps import EXAMPLE
from mpbf_abm.examples.page import main

if __name__ == "__main__":
    sys.exit(main(EXAMPLE))
