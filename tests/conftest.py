"""Settings shared by all tests."""

import os

# Before numpy is first imported: tests run in several processes, and threads beneath them would fight for the cores.
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MPLBACKEND="Agg")
