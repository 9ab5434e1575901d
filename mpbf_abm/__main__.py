"""``python -m mpbf_abm`` is ``mpbf``."""

from mpbf_abm.cli import main

if __name__ == "__main__":
    main()
