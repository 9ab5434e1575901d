"""Sequential-learning campaigns: one planner on one pool, without the community around it.

The kernel is learned by default, often while experiments are few and seldom later. With the fixed kernel the ecosystem
with the preset ``pool`` makes the same choices with the same keyed draws; it is what this fast way is tested against.
The posterior is kept over the whole pool, so that an experiment costs O(n N).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mpbf_abm.arrays import Bool, Float, Float32, Int
from mpbf_abm.errors import did_you_mean, lines_where, refuse_any
from mpbf_abm.glance import Glance, Shown
from mpbf_abm.learning.acquisition import RULES, score
from mpbf_abm.learning.encoders import descriptor_encoder
from mpbf_abm.learning.gaussian import GrowingPosterior, coordinate_map, coordinates
from mpbf_abm.learning.kernels import learned
from mpbf_abm.learning.linalg import features
from mpbf_abm.learning.models import claimed_sd, frequencies
from mpbf_abm.model.commons import PLANNER, record_keys
from mpbf_abm.model.materials import MaterialsSpace
from mpbf_abm.parameters import PRESETS, value_faults
from mpbf_abm.processes import one_thread
from mpbf_abm.provenance import DEFAULT_SEED
from mpbf_abm.streams import Streams, normal_quantile, splitmix

MOST_FOUNDING = 64  # as many records at the founding of a pool are distinct materials
PANEL = 256  # settings whose mean variance the rule integrated_variance lowers
PRIOR_FEATURES = 1_024  # random features of a draw from the prior (Thompson sampling)
LEAST_VARIANCE = 1e-6  # of a label
KERNELS = ("learned", "fixed")
REFIT = 1.15  # growth of the number of labels after which the kernel is learned anew
NEVER = np.float32(-np.inf)


@dataclass(frozen=True, repr=False)
class Campaign(Shown):
    """What one planner made, in its order.

    Attributes
    ----------
    rule : str
    seed : int
    founding : int
        How many of the materials were there at the start.
    materials : int (n,)
    observed : float32 (n,)
        Measured values in property sd.
    hits : bool (n,)
        Which of them belong to the top set.
    cpu_seconds : float
    """

    rule: str
    seed: int
    founding: int
    materials: Int
    observed: Float32
    hits: Bool
    cpu_seconds: float

    def glance(self) -> Glance:
        """Return what was done, and how much of the top set was found."""
        made = f"{len(self.materials)} experiments, of which {self.founding} at the start"
        return Glance(f"Campaign: {self.rule}, seed {self.seed}: {made}; {int(self.hits.sum())} of the top set found")

    def spent(self, wanted: int) -> float:
        """Experiments until so many of the top set were found, founding records included; infinite if they were not."""
        found = np.flatnonzero(np.cumsum(self.hits) >= wanted)
        return float(found[0] + 1) if len(found) else float("inf")

    def best(self, space: MaterialsSpace) -> Float:
        """Best value observed so far, in the unit of the data (n,)."""
        return np.asarray(space.in_unit(np.maximum.accumulate(self.observed.astype(np.float64))))


def check_campaign(
    space: MaterialsSpace,
    rules: Sequence[str],
    *,
    budget: int,
    batch: int,
    founding: int,
    kappa: float,
    noise: float,
    kernel: str,
) -> None:
    """Check what a campaign is to do; all faults at once."""
    faults = [
        f"acquisition: unknown rule '{rule}'{did_you_mean(rule, RULES)} (rules: {', '.join(RULES)})"
        for rule in rules
        if rule not in RULES
    ]
    pool = space.families == 1 and not space.dims["gauge"] and space.feasible.all()
    most = min(MOST_FOUNDING, space.size - 1)
    fits, spent = 1 <= founding <= most, f"{founding + 1} to {space.size} experiments, those at the start included"
    faults += lines_where(
        (not pool, "a campaign needs a pool: a space of one family, without a gauge block, all of it feasible"),
        (space.properties > 1, f"a campaign seeks one objective, not {space.properties}"),
        (not fits, f"founding = {founding}: must be 1 to {most} materials"),
        (fits and not founding < budget <= space.size, f"budget = {budget}: must be {spent}"),
        (batch < 1, f"batch = {batch}: must be at least 1"),
        (kernel not in KERNELS, f"kernel = '{kernel}': must be {' or '.join(KERNELS)}"),
    )
    faults += [fault.removeprefix("planners.") for fault in value_faults("planners.kappa", kappa)]
    faults += lines_where((not 0 <= noise < float("inf"), f"noise = {noise:g}: must be at least 0"))
    refuse_any(faults)


def run_campaign(
    space: MaterialsSpace,
    rule: str = "greedy",
    seed: int = DEFAULT_SEED,
    *,
    budget: int | None = None,
    batch: int = 1,
    founding: int = 5,
    kappa: float = 1.0,
    noise: float = 0.0,
    kernel: str = "learned",
    enough: int | None = None,
) -> Campaign:
    """Run one campaign on a pool.

    Parameters
    ----------
    space : MaterialsSpace
        A pool (:meth:`MaterialsSpace.from_pool`).
    rule : str
        One of :data:`mpbf_abm.learning.acquisition.RULES`.
    seed : int
        Seed of the materials at the start, of ties and noise.
    budget : int, optional
        Experiments, those at the start included; the whole pool if not given.
    batch : int
        Experiments that are chosen together, the best by the rule.
    founding : int
        Materials at the start, drawn by the seed alone.
    kappa : float
        Weight of the sd in ucb and ranking.
    noise : float
        Standard deviation of a measurement, in property sd.
    kernel : str
        learned: a length for each column, signal and noise follow from the labels; fixed: as in the preset `pool`.
    enough : int, optional
        Stop when so many of the top set were found.

    Notes
    -----
    Thompson sampling draws from the prior by random features and corrects it by the data (Wilson et al. 2020); the
    ecosystem factorises the covariance of all candidates instead. Integrated variance lowers the mean variance of PANEL
    settings, drawn once by the seed; in the ecosystem that of the trainer's panel, drawn anew. With a batch above 1,
    planners of the ecosystem would all choose the first. In every other case the choices with the fixed kernel are
    those of the ecosystem.

    The kernel is learned at the start and whenever there are REFIT times as many labels as the last time. With a
    learned kernel expected improvement is that on the best mean at the materials made, as values hold noise.
    """
    budget = space.size if budget is None else budget
    options: dict[str, Any] = {"budget": budget, "founding": founding, "kappa": kappa, "noise": noise, "kernel": kernel}
    check_campaign(space, [rule], batch=batch, **options)
    with one_thread():
        start = time.process_time()
        made = _Lab(space, rule, seed, **options)
        while len(made.materials) < budget and (enough is None or space.top[made.materials].sum() < enough):
            made.round(min(batch, budget - len(made.materials)))
        seconds = time.process_time() - start
    rows = np.array(made.materials, np.int64)
    return Campaign(rule, seed, founding, rows, np.array(made.observed, np.float32), space.top[rows], seconds)


class _Lab:
    """State of a campaign."""

    def __init__(
        self,
        space: MaterialsSpace,
        rule: str,
        seed: int,
        *,
        budget: int,
        founding: int,
        kappa: float,
        noise: float,
        kernel: str,
    ) -> None:
        self.space, self.rule, self.kappa, self.noise = space, rule, kappa, noise
        self.reads = RULES[rule]
        self.streams = Streams(seed)
        self.variance = float(np.float32(max(noise**2, LEAST_VARIANCE)))
        self.materials: list[int] = []
        self.observed: list[float] = []
        self.open = np.ones(space.size, bool)
        self.rounds = 0
        self.best = 0.0
        x = space.ambient_rows(np.arange(space.size), np.zeros((space.size, 0), np.float32))
        encoder = descriptor_encoder(space.span, np.ones(space.width))
        self.points = coordinates(x, *coordinate_map(encoder, PRESETS["pool"]["trainers.length_scale"]))
        self.most = budget if self.reads.draws != "order" else 0
        self.learns = kernel == "learned" and self.most > 0
        self.refit_at = founding
        self.posterior = GrowingPosterior(self.points, self.most)
        self.prior: Float32 | None = None
        self.panel = np.argsort(self.streams.uniform("campaign.panel", 0, space.size), kind="stable")[:PANEL]
        self.keys = splitmix(space.material_keys.astype(np.uint64))
        first = np.argsort(self.streams.uniform("found.pool", 0, space.size), kind="stable")[:founding]
        self.enter(first, lambda: self.streams.uniform("found.record", 0, (founding, 8))[:, 3])

    def enter(self, rows: Int, draws: Callable[[], Float]) -> None:
        """Measure materials; where there is noise, it comes from uniform draws."""
        values = self.space.property[rows]
        if self.noise:
            values = (values + self.noise * normal_quantile(draws())).astype(np.float32)
        for row, value in zip(rows.tolist(), values.tolist(), strict=True):
            self.materials.append(row)
            self.observed.append(value)
            if self.reads.draws != "order":
                self.posterior.observe(row, value, self.label_variance)
        self.open[rows] = False

    @property
    def label_variance(self) -> float:
        """Return the noise of a label, the misfit included."""
        return self.variance + self.posterior.kernel.noise

    def refit(self) -> None:
        """Learn the kernel from what was observed, and renew the posterior."""
        rows, labels = self.materials, np.array(self.observed)
        kernel = learned(self.points[rows], labels, np.full(len(rows), self.variance), self.posterior.kernel)
        self.posterior, self.prior = GrowingPosterior(self.points, self.most, kernel), None
        self.posterior.observe_all(rows, labels, self.label_variance)
        self.refit_at = max(len(rows) + 1, math.ceil(REFIT * len(rows)))

    def round(self, count: int) -> None:
        """Choose materials and make them."""
        if self.learns and len(self.materials) >= self.refit_at:
            self.refit()
        self.enter(self.choose(count), lambda: self.noise_draws(count))
        # The reference of expected improvement is the lab's own best, at least the mean.
        self.best = max(self.best, *self.observed[-count:])
        self.rounds += 1

    def noise_draws(self, count: int) -> Float:
        """Uniform draws of the noise of one round (count,)."""
        draws = [self.streams.uniform(f"planner.experiment.{j}", self.rounds, (1, 2))[0, 0] for j in range(count)]
        return np.array(draws)

    def choose(self, count: int) -> Int:
        """The open materials with the largest scores, in the keyed order on ties (count,)."""
        if self.reads.draws == "order":
            rows = np.flatnonzero(self.open)
            return rows[np.argsort(self.order(rows), kind="stable")[:count]]
        if not self.reads.sd:
            mean = sd = self.posterior.mean()
        else:
            mean, variance = self.posterior.predict()
            sd = claimed_sd(variance - np.float32(self.posterior.kernel.noise))
        if self.learns and self.reads.best:
            self.best = float(mean[self.materials].max())
        if self.reads.ranks:
            return self.ranked(mean, sd, count)
        draws = None
        if self.reads.draws == "posterior":
            draws = self.sample()
        elif self.reads.draws == "panel":
            draws = self.posterior.panel_fall(self.panel, self.label_variance)
        scores = score(self.rule, mean, sd, best=self.best, kappa=self.kappa, draws=draws, where="campaign")
        scores = np.where(self.open, scores, NEVER)
        least = np.partition(scores, -count)[-count] if count > 1 else scores.max()
        rows = np.asarray((scores >= least).nonzero()[0])
        if len(rows) > 1:
            rows = rows[np.lexsort((self.order(rows), -scores[rows]))]
        return rows[:count]

    def ranked(self, mean: Float32, sd: Float32, count: int) -> Int:
        """Return the first materials by rank among the open ones in keyed order, repeated to the size of the pool."""
        rows = np.flatnonzero(self.open)
        rows = np.resize(rows[np.argsort(self.order(rows), kind="stable")], self.space.size)
        ranks = score(self.rule, mean[rows], sd[rows], best=self.best, kappa=self.kappa, where="campaign")
        order = rows[np.argsort(-ranks, kind="stable")]
        return np.array(list(dict.fromkeys(order.tolist()))[:count], np.int64)

    def sample(self) -> Float32:
        """Draw from the posterior at every material (Thompson sampling)."""
        if self.prior is None:
            omega, phase = frequencies(self.streams, 0, self.points.shape[1], PRIOR_FEATURES)
            points = self.posterior.points.astype(np.float32)
            self.prior = features(points, omega.astype(np.float32), phase)[:, :-1]
        weights = self.streams.normal("campaign.prior", self.rounds, PRIOR_FEATURES).astype(np.float32)
        noise = self.streams.normal("campaign.noise", self.rounds, len(self.materials))
        return self.posterior.sample(self.prior @ weights, np.sqrt(self.label_variance) * noise)

    def order(self, rows: Int) -> Float:
        """Keyed numbers of materials in this round: the smallest goes first."""
        look = record_keys(PLANNER, 0, self.rounds, np.zeros(1, np.int64))
        return self.streams.record_uniform("planner.candidate.order", self.keys[rows] ^ look)
