"""What a user's module adds, one of each kind; worker processes import it."""

from __future__ import annotations

from typing import Any

import numpy as np

from mpbf_abm import DataCurator, ExperimentPlanner, ModelTrainer
from mpbf_abm.learning.acquisition import acquisition
from mpbf_abm.model.indicators import indicator
from mpbf_abm.model.interventions import Lever, policy
from mpbf_abm.model.shocks import Shock, shock
from mpbf_abm.model.world import Planners, World, column


@indicator(unit="share")
def silent_share(world: World) -> float:
    """Share of repositories that do not answer."""
    return float(np.mean(world.commons.down))


@shock(0.5)
def curators_strike(world: World, event: Shock) -> None:
    """Curators lose a share of the budget that they have saved."""
    world.curators.credit[...] *= 1 - event.force


@acquisition(best=True)
def boldest(mean: Any, sd: Any, *, best: float, **_: Any) -> Any:
    """Largest mean plus three claimed sds, against the best value known."""
    return mean + np.float32(3) * sd - np.float32(best)


policy("open_results", "every result is published", [Lever("planners.publication_bias", 0.0)])
Planners.declare("experience", column("experiments made so far", "experiments"))


class Learner(ExperimentPlanner):
    """A lab that explores less the more it has done."""

    def family_weights(self, share: Any) -> Any:
        self.experience += self.budget
        return share ** (1.0 + 0.1 * self.experience)


class Rarity(DataCurator):
    """A curator of families that hold few records."""

    def family_weights(self, share: Any) -> Any:
        return share / (1.0 + self.world.commons.visible())


class Frugal(ModelTrainer):
    """A trainer who uses every second record."""

    def sample(self, rows: Any) -> Any:
        return rows[::2]
