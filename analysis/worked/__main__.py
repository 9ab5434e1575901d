"""Run a worked example: ``python -m analysis.worked gaps --data DATA``."""

import sys

from analysis.worked import alloys, cuprates, gaps
from analysis.worked.page import main

if __name__ == "__main__":
    sys.exit(main((gaps.EXAMPLE, alloys.EXAMPLE, cuprates.EXAMPLE)))
