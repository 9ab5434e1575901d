"""The mean-field twin: the ecosystem as a few event rates per family, without chance.

Of every family the twin keeps the records ``x_k`` (virtual founding mass included) and the bias
mass ``B_k``, the sum of what its records err by; of the learner, a mean, it keeps one number.
Six events move them, at rates that follow from the model's own :class:`Parameters`:

============  ============================  ==================================================
event         rate                          effect
============  ============================  ==================================================
experiment    planners' experiments         a record without bias, deposited with a chance q_k
simulate      (1 - pi) of simulated labels  a record with bias b_k
pseudo-label  pi of simulated labels        a record that says g times the learner's mean
obsolescence  delta per record              a record goes, and its bias with it; mass decays too
audit         kappa per record              a record stays, its bias goes
retrain       every tau ticks               the learner's mean becomes chi times the records'
============  ============================  ==================================================

New records are allotted by :func:`mpbf_abm.layers.attention.attention`, with the models' weights
replaced by 1 or by ``x_k^(gamma_eff - gamma)``. :meth:`Twin.map` takes whole ticks in the order of
the phases (obsolescence, curators, audit, retraining, planners); :meth:`Twin.ode` lets all events
happen at once. Without bias both are closed in x, and x alone decides on lock-in. What families
differ in besides, and what learners more able than a mean would steer by, the twin cannot
represent: :meth:`Twin.from_parameters` refuses it in one line.
"""

from mpbf_abm.twin.lockin import Thresholds
from mpbf_abm.twin.model import Kind, Path, Twin
from mpbf_abm.twin.noise import urn_variance
from mpbf_abm.twin.rates import Source

__all__ = ["Kind", "Path", "Source", "Thresholds", "Twin", "urn_variance"]
