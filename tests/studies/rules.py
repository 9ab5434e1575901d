"""Rules of one's own for tests."""

from __future__ import annotations

from typing import Any

import numpy as np

from mpbf_abm import ExperimentPlanner


class Contrary(ExperimentPlanner):
    """Prefers families that hold little."""

    def family_weights(self, share: Any) -> Any:
        """Weights of families, the other way round."""
        return 1.0 / (np.asarray(share) + 0.1)
