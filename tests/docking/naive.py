"""A second reading of the model description: the tick, written from ``docs/odd.md`` alone.

One object per agent, record and node, plain loops, float64. Nothing is shared with the package but the keyed draws
(ODD 7.1), the parameters and the arrays of a materials space. Custom rules of planners are left out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np
from naive_frictions import Adapter, Frictions
from naive_learning import Feasibility, Features, Head, Mixture, explained, fit_encoder, invert
from scipy.special import erfcx, gammaincinv, ndtr, ndtri

# Levers of the policies: parameter, kind, target.
LEVERS = {
    "negative_results": [("planners.publication_bias", "set", 0)],
    "coverage_mandate": [("curators.coverage_seeking", "floor", 1)],
    "measured_quota": [("curators.measured_quota", "floor", 1)],
    "provenance_standard": [("curators.qa", "floor", 1)],
    "audits": [("curators.audit_rate", "floor", 1)],
    "harmonisation": [("trainers.harmonisation", "floor", 1)],
    "uncertainty_aware": [
        ("planners.acquisition", "set", "ucb"),
        ("coupling.uncertainty_ral_isl", "floor", 1),
        ("coupling.uncertainty_dal_ral", "floor", 1),
        ("coupling.uncertainty_modalities", "floor", 1),
    ],
    "invariance_standard": [("trainers.invariance", "floor", 1)],
    "model_pluralism": [("trainers.reuse", "cap", 0), ("planners.social", "cap", 0)],
    "redundancy": [("infrastructure.providers", "floor", 3)],
    "mirrors_and_repair": [("infrastructure.openness", "floor", 1), ("stocks.repair", "floor", 1)],
    "compute_cap": [("trainers.scale_cap", "cap", 0.5)],
    "equal_funding": [("stocks.merit_share", "set", 0), ("stocks.lottery_share", "set", 0)],
    "funding_lottery": [("stocks.lottery_share", "floor", 1)],
    "exploration_floor": [("planners.exploration_floor", "floor", 1), ("curators.exploration_floor", "floor", 1)],
    "fresh_data_floor": [("trainers.fresh_floor", "floor", 1)],
}
FEATURES_OF_FEASIBILITY = 64  # at most so many

# Table of modalities: gains by block, kind of label, factor on the noise, coverage.
GAINS = [
    {"quantum": 1.0, "meso": 0.1, "gauge": 1.0, "spurious": 0.3},
    {"quantum": 1.0, "meso": 0.1, "gauge": 0.6, "spurious": 0.1},
    {"quantum": 0.6, "meso": 0.5, "gauge": 0.5, "spurious": 0.4},
    {"quantum": 0.2, "meso": 1.0, "gauge": 1.0, "spurious": 1.0},
    {"quantum": 0.2, "meso": 0.8, "gauge": 0.1, "spurious": 1.0},
    {"quantum": 0.8, "meso": 0.4, "gauge": 0.5, "spurious": 0.3},
]
LABEL = ["simulated", "simulated", "measured", "measured", "measured", "hybrid"]
NOISE = [1.0, 0.5, 1.0, 1.5, 1.2, 1.0]
COVERAGE = [1.0, 0.8, 0.6, 0.5, 0.7, 0.6]
RISING_FIDELITY = [0, 1, 5, 2, 3, 4]
SPECTROSCOPY = 2
LITERATURE, SIMULATION, EXPERIMENT, GENERATED, FAILED = range(5)
HARMONISED = {"simulated": 1.0, "hybrid": 0.5, "measured": 0.0}

SHRINK, DOUBLE_ENTRY, MOST_LINKS, ATTEMPTS, RECENT, CLIP, INTERVAL = 5, 32768, 50, 16, 50, 3.0, 1.95996
MOVED, STRAIN, BIAS_AMPLITUDE = 256, 0.1, 0.5
NEIGHBOUR_WINDOW, NEIGHBOURS, REACH, ASCENT_STEPS = 32, 5, 4, 10


def record_key(kind, slot, tick, index):
    """Identity of a record in keyed draws."""
    return kind << 60 | slot << 36 | tick << 16 | index


def quantile(u):
    """Q: a standard normal number from a uniform one."""
    return float(ndtri(min(max(u, 1e-12), 1 - 1e-12)))


def race(clocks, weights):
    """Position of the smallest clock over weight; weight 0 only if all are 0."""
    best, place = math.inf, 0
    for k, (clock, weight) in enumerate(zip(clocks, weights, strict=True)):
        time = clock / weight if weight > 0 else math.inf
        if time < best:
            best, place = time, k
    return place


def choose_links(kept, clocks, weights, count):
    """Keep links in their old order and fill up by race; None for a place that nothing fills."""
    options = [k for k in range(len(weights)) if weights[k] > 0 and k not in kept]
    options.sort(key=lambda k: clocks[k] / weights[k])
    links = (kept + options)[:count]
    return links + [None] * (count - len(links))


def score(rule, mean, sd, best, kappa):
    """Acquisition scores that need no draw."""
    if rule == "greedy":
        return mean
    if rule == "ucb":
        return mean + kappa * sd
    if rule == "maxvar":
        return sd
    if rule == "ei":
        return np.array([log_improvement(m, max(s, 1e-6), best) for m, s in zip(mean, sd, strict=True)])
    if rule == "ranking":
        return np.mean([ranks(score(r, mean, sd, best, kappa)) for r in ("greedy", "ucb", "ei")], axis=0)
    raise AssertionError(rule)


def leaders(values):
    """Places of the best twentieth, what equals the least of them included."""
    least = sorted(values)[len(values) - max(1, round(0.05 * len(values)))]
    return {i for i, v in enumerate(values) if v >= least}


def ranks(values):
    """Ranks in ascending order, ties by position."""
    out = np.zeros(len(values))
    out[np.argsort(values, kind="stable")] = np.arange(len(values))
    return out


def log_improvement(mean, sd, best):
    """Logarithm of expected improvement."""
    t = (mean - best) / sd
    log_density = -t * t / 2 - math.log(2 * math.pi) / 2
    if t > -1:
        return math.log(sd * (t * ndtr(t) + math.exp(log_density)))
    if t < -1000:
        return log_density - 2 * math.log(-t) + math.log(sd)
    mills = math.sqrt(math.pi / 2) * erfcx(-t / math.sqrt(2))
    return log_density + math.log(1 + t * mills) + math.log(sd)


@dataclass
class Record:
    """One row of the commons."""

    key: int
    material: int
    family: int
    modality: int
    value: float
    variance: float
    origin: int
    repository: int
    producer: int
    tick: int
    federated: bool
    corrupted: bool = False
    audited: bool = False
    alive: bool = True
    property: int = 0


@dataclass
class Structure:
    """A record without a label; a corpus sees it as a crystal graph."""

    key: int
    material: int
    repository: int
    federated: bool
    modality: int = 0


@dataclass
class Node:
    """A repository, a model or a host as part of the infrastructure."""

    down: bool = False
    until: float = 0
    health: float = 1.0
    closing: int | None = None  # tick of an end that has been announced
    frozen: bool = False
    open: bool = False


@dataclass
class Curator:
    """Runs a repository."""

    slot: int
    repository: int
    credit: float = 0.0
    audit_credit: float = 0.0


@dataclass
class Trainer:
    """Trains one model."""

    slot: int
    scale: float
    invariance: float
    compute: float
    last_tradeoff: float = -math.inf
    direction: float = 1.0
    sources: list = field(default_factory=list)
    models: dict = field(default_factory=dict)  # by property
    model: Model | None = None  # of the first property at the last publication
    in_training: list = field(default_factory=list)  # (tick of publication, models), in the order of their start
    looking: int | None = None  # first tick without a source


@dataclass
class Planner:
    """A lab."""

    slot: int
    attention: float
    funding: float = 0.0
    budget: int = 0
    judged: float = 0.0
    claims: float = 0.0
    best_value: float = -math.inf
    best_material: int = -1
    home: int = 0
    property: int = 0
    models: list = field(default_factory=list)
    collaborators: list = field(default_factory=list)
    hits: dict = field(default_factory=dict)
    misses: dict = field(default_factory=dict)
    ready: dict = field(default_factory=dict)  # first tick in which a model that was taken up can be used
    adapter: Adapter | None = None


@dataclass
class Experiment:
    """One experiment of one planner."""

    planner: Planner
    wave: int
    family: int
    material: int
    model: int | None
    predicted: float
    claimed: float
    phi: np.ndarray | None
    shift: float = 0.0
    made: bool = False
    value: float = 0.0
    variance: float = 0.0
    published: bool = False


class Model:
    """A published model with its panel and its predictions on it."""

    def __init__(self, community, number, features, head, adds_simulated):
        self.community, self.property = community, number
        self.features, self.head, self.adds_simulated = features, head, adds_simulated
        self.panel, self.panel_phi, self.compared = [], [], []
        self.trained, self.sample, self.mixture = 0, [], None
        self.tradeoff = 0.0
        self.errors = []
        self.feasibility = self.feasibility_features = None

    @property
    def encoder(self):
        return self.features.encoder

    def predict(self, material, phi):
        """Mean and variance of the property of a material with given features."""
        mean, variance = self.head.predict(phi)
        return mean + (
            float(self.community.simulated[self.property][material]) if self.adds_simulated else 0.0
        ), variance

    def panel_predictions(self):
        """Mean and variance of all panel materials, family after family."""
        pairs = [self.predict(i, phi) for i, phi in zip(self.panel, self.panel_phi, strict=True)]
        return np.array([m for m, _ in pairs]), np.array([v for _, v in pairs])

    def sd(self, variance):
        """Claimed sd of the property itself, misfit left out."""
        over = self.community.p.trainers.overconfidence
        return np.sqrt(np.maximum(np.asarray(variance) - self.head.noise, 1e-8)) / over

    def fall(self, material, phi):
        """Mean fall of the variance over the panel by an experiment on a material, channel left out."""
        seen = self.head.covariance @ phi
        noise = self.head.noise + self.community.claimed(material)
        taken = [(other @ seen) ** 2 / (phi @ seen + noise) for other in self.panel_phi]
        return sum(taken) / len(taken)

    def channelled_falls(self, materials, phis):
        """Falls as they reach steering."""
        o = self.community.p.coupling.uncertainty_ral_isl
        falls = np.array([self.fall(i, phi) for i, phi in zip(materials, phis, strict=True)])
        if o == 1:
            return falls
        return o * falls + (1 - o) * np.mean(
            [self.fall(*pair) for pair in zip(self.panel, self.panel_phi, strict=True)]
        )

    def channelled(self, variance):
        """Claimed sd as it reaches steering."""
        o = self.community.p.coupling.uncertainty_ral_isl
        return o * self.sd(variance) + (1 - o) * self.sd(self.panel_predictions()[1]).mean()


class Community(Frictions):
    """The model, read a second time.

    Parameters
    ----------
    parameters : Parameters
    space : MaterialsSpace
        Its plain arrays alone are read.
    streams : Streams
    policies, shocks : sequences, optional
        Anything with their fields.
    """

    def __init__(self, parameters, space, streams, policies=(), shocks=()):
        p = self.p = self.base = parameters
        self.policies, self.shocks = policies, shocks
        self.space, self.streams, self.tick = space, streams, 0
        self.K, self.N, self.R = len(space.start) - 1, len(space.feasible), p.infrastructure.repositories
        self.size = [int(space.start[k + 1] - space.start[k]) for k in range(self.K)]
        self.family_of = [k for k in range(self.K) for _ in range(self.size[k])]
        mass = p.founding.mass
        self.mass = [float(mass)] * self.K if np.ndim(mass) == 0 else [float(m) for m in mass]
        self.records, self.structures, self.tested, self.found = [], [], set(), {}
        self.by_planners, self.curve = set(), []
        self.repositories = [Node() for _ in range(self.R)]
        self.model_nodes = [Node() for _ in range(p.trainers.count)]
        self.host_nodes = [Node() for _ in range(p.infrastructure.hosts if p.infrastructure.service == "host" else 0)]
        self.results, self.ceilings, self.met = [], {}, set()
        self.T = p.space.properties
        self.property, self.simulated, self.top, self.proxy = (
            np.reshape(a, (self.T, self.N)) for a in (space.property, space.simulated, space.top, space.proxy)
        )
        self.judge_spread()
        self.share_feasible = float(np.mean(space.feasible))
        self.widths = [space.dims[b] for b in ("quantum", "meso", "gauge", "spurious")]
        self.observed, blocks = space.observation, sum(self.widths)
        self.columns = self.observed.width if self.observed else blocks
        self.noise_columns = self.columns - blocks
        self.signal = self.observed.signal if self.observed else 1.0
        # Numbers that tell observations of one material apart.
        self.view_numbers = self.widths[2] + (self.columns if self.observed and p.space.view_noise > 0 else 0)
        self.kernel_widths = {}
        # Number of the choice that revealed a family, by family; families that are not in it lie dormant.
        self.unfolding = p.commons.concentration > 0 or p.commons.discount > 0
        self.revealed = {} if self.unfolding else dict.fromkeys(range(self.K), 0)
        self.choices = 0
        self.type_repositories()
        self.establish()

    def type_repositories(self):
        """Types, sizes and preferences of repositories."""
        p, space = self.p.infrastructure, self.space
        given = ["general"] + ["enumerator"] * p.enumerators + ["known"] * p.known
        self.types = given + ["general"] * (self.R - len(given))
        self.shares = list(p.sizes) or [1 / (r + 1) for r in range(self.R)]
        self.preference = [[1.0] * self.K for _ in range(self.R)]
        if p.specialisation > 0:
            u = self.streams.uniform("found.specialisation", 0, (self.R, self.K))
            for r in range(self.R):
                for k in range(self.K):
                    shape = self.size[k] * self.K / self.N / p.specialisation
                    self.preference[r][k] = float(gammaincinv(shape, u[r, space.family_keys[k]])) / shape

    # ------------------------------------------------------------------ draws and small looks

    def lines(self, kind, decision, shape, tick=None):
        """Draws of a decision at this tick, one line per slot."""
        return getattr(self.streams, kind)(decision, self.tick if tick is None else tick, shape)

    def of_record(self, decision, key, tick=0):
        """Uniform number that belongs to a record or a material."""
        return float(self.streams.record_uniform(decision, np.array([key], np.uint64), tick)[0])

    def zipf(self, u, exponent):
        """Property chosen by a uniform number."""
        return invert(u, [(t + 1) ** -exponent for t in range(self.T)])

    def labelled(self, key, modality):
        """Property that a record is about."""
        p = self.p.modalities
        focus = p.measured_focus if LABEL[modality] == "measured" else p.simulated_focus
        return self.zipf(self.of_record("record.property", key), focus)

    def note_tested(self, record):
        """A failure says of a material that it cannot be made, whatever was sought."""
        failed = record.origin == FAILED
        self.tested |= {(t, record.material) for t in (range(self.T) if failed else [record.property])}

    def gauge(self, decision, key):
        """View that belongs to a record: gauge columns, and noise of its own."""
        return self.streams.record_normal(decision, np.array([key], np.uint64), self.view_numbers, 0)[0]

    def ambient(self, material, view=None, gains=None, noisy=True):
        """Ambient descriptor of a material in a view (standard normal numbers; none is 0)."""
        q, m, g, _ = self.widths
        view = np.zeros(self.view_numbers) if view is None else np.asarray(view, float)
        row = self.space.descriptors[material].astype(float)
        row = np.concatenate([row[: q + m], view[:g] * self.space.gauge_amplitude, row[q + m :]])
        if not self.observed:
            return row
        row = row + self.p.space.curvature * np.tanh(row)
        row = np.append(self.signal * row, np.zeros(self.noise_columns)) * (1.0 if gains is None else gains)
        if not noisy:
            return row
        own, v = self.observed.keys[[material]], self.p.space.view_noise
        noise = math.sqrt(1 - v) * self.streams.record_normal("space.noise", own, self.columns, 0)[0].astype(float)
        return row + noise + (math.sqrt(v) * view[g:] if v > 0 else 0.0)

    def by_column(self, blocks, noise=1.0):
        """One number per block as one per column; columns that hold noise alone have another."""
        shown = np.repeat([blocks[b] for b in ("quantum", "meso", "gauge", "spurious")], self.widths)
        return np.append(shown, np.full(self.noise_columns, noise))

    @property
    def any_repository(self):
        return any(not n.down for n in self.repositories)

    def in_view(self, record):
        """Whether anybody can see a record."""
        return self.any_repository if record.federated else not self.repositories[record.repository].down

    def counts(self):
        """x_k."""
        x = list(self.mass)
        for r in self.records:
            if r.alive and self.in_view(r):
                x[r.family] += 1
        return x

    def held(self):
        """Living records that each repository alone holds."""
        held = [0] * self.R
        for r in self.records:
            if r.alive and not r.federated:
                held[r.repository] += 1
        return held

    def is_served(self, m, number):
        """Whether a published model of a property answers."""
        return number in self.trainers[m].models and self.answers(m)

    def served(self, number):
        return [m for m in range(len(self.trainers)) if self.is_served(m, number)]

    def served_pairs(self):
        return [(t, m) for t in range(self.T) for m in self.served(t)]

    def model_of(self, planner, tick=None):
        """Model in use: the first of its links that is served and that the lab can use, if enough are."""
        links = [m for m in planner.models if m is not None and self.is_served(m, planner.property)]
        tick = self.tick if tick is None else tick
        links = [m for m in links if tick >= planner.ready.get(m, 0)]
        return links[0] if len(links) >= max(1, self.p.infrastructure.need) else None

    def adopters(self, number=None):
        """n_m: planners whose first link is m, of one property or of all."""
        n = [0] * len(self.trainers)
        for q in self.planners:
            if q.models and q.models[0] is not None and number in (None, q.property):
                n[q.models[0]] += 1
        return n

    # ------------------------------------------------------------------ element 5: founding

    def establish(self):
        p = self.p
        self.curators = [Curator(i, i % self.R) for i in range(p.curators.count)]
        start = max(p.stocks.compute, p.trainers.scale)
        self.trainers = [Trainer(i, p.trainers.scale, p.trainers.invariance, start) for i in range(p.trainers.count)]
        attention = min(p.stocks.attention, p.stocks.attention_cap)
        self.planners = [Planner(i, attention) for i in range(p.planners.count)]
        dealt = self.lines("uniform", "planner.property", (len(self.planners), 1), 0)
        for q in self.planners:
            q.property = self.zipf(dealt[q.slot, 0], p.planners.demand)
        links = p.infrastructure.providers
        for planner in self.planners:
            planner.models = [None] * links
        for trainer in self.trainers:
            trainer.sources = [None] * links
        self.befriend()
        self.found_records()
        self.found_structures()
        for r in self.records:
            if LABEL[r.modality] == "measured":
                self.note_tested(r)
        self.known = {pair for pair in self.tested if self.top[pair]}
        self.open_weights()
        self.link_trainers(self.trainers)
        if self.R > 1 and self.planners:
            clocks = self.lines("exponential", "found.lab_repository", (len(self.planners), self.R))
            weights = [(h + 1) ** p.infrastructure.preference for h in self.held()]
            for q in self.planners:
                q.home = race(clocks[q.slot], weights)

    def befriend(self):
        """Draw the collaboration network."""
        members = self.planners
        count = min(self.p.planners.neighbours, len(members) - 1)
        if not self.trainers or count < 1:
            return
        clocks = self.lines("exponential", "found.collaborators", (len(members), len(members)))
        for q in members:
            others = [r for r in members if r is not q]
            q.collaborators = sorted(others, key=lambda r: clocks[q.slot, r.slot])[:count]

    def found_records(self):
        p, space, n = self.p, self.space, self.p.founding.records
        u = self.lines("uniform", "found.record", (n, 8))
        order = sorted(range(self.K), key=lambda k: space.family_keys[k])
        weights = [self.size[k] ** p.founding.concentration for k in order]
        pool = []
        if p.founding.year or (self.K == 1 and n <= 64):
            clocks = self.lines("uniform", "found.pool", self.N)
            known = [i for i in range(self.N) if not p.founding.year or space.year[i] <= p.founding.year]
            pool = sorted(known, key=lambda i: clocks[i])[:n]
        drawn = [0] * self.K
        dealt = []
        for i in range(n):
            family = order[invert(u[i, 0], self.founding_weights(drawn, order, weights))]
            drawn[family] += 1
            material = int(space.start[family]) + math.floor(u[i, 1] * self.size[family])
            if pool:
                material = pool[i % len(pool)]
                family = self.family_of[material]
            dealt.append([family, material, invert(u[i, 4], self.sizes_for(family))])
        self.deal_by_type(dealt, u[:, 1])
        for i, (family, material, repository) in enumerate(dealt):
            modality = invert(u[i, 2], p.curators.modality_mix)
            if self.types[repository] == "enumerator":
                modality = 0
            key = record_key(0, i >> 15, 0, i & 0x7FFF)
            number = self.labelled(key, modality)
            value, variance = self.label(number, material, modality, quantile(u[i, 3]))
            federated = u[i, 5] < p.infrastructure.openness
            record = Record(key, material, family, modality, value, variance, LITERATURE, repository, -1, -1, federated)
            self.records.append(replace(record, property=number))
            self.reveal(family)

    def founding_weights(self, drawn, order, weights):
        """Weights of families for the next founding record, in the order of keys."""
        c, known = self.p.commons, [k for k in order if drawn[k]]
        if not self.unfolding:
            return weights
        left = sum(w for k, w in zip(order, weights, strict=True) if k not in known)
        held = sum(max(drawn[k] + self.mass[k] - c.discount, 0.0) for k in known)
        # Chances of a new family and of a known one stand as n + theta less the others' to theirs.
        found = c.concentration + c.discount * len(known)
        new = held * found / (sum(drawn) - c.discount * len(known)) if known else 1.0
        return [
            max(drawn[k] + self.mass[k] - c.discount, 0.0) if k in known else new * w / left
            for k, w in zip(order, weights, strict=True)
        ]

    def reveal(self, family):
        """Count a choice; the first of a family reveals it."""
        if self.unfolding:
            self.choices += 1
            self.revealed.setdefault(family, self.choices)

    def choose_family(self, kind, cohort, slot, j, f, nu):
        """Attention decides, or a family is founded; None if neither can be."""
        keys, c = self.space.family_keys, self.p.commons
        k = race(self.lines("exponential", f"{kind}.family.{j}", (len(cohort), self.K))[slot][keys], f)
        if not self.unfolding:
            return k if f[k] > 0 else None
        k = k if f[k] > 0 else None
        known = list(self.revealed)
        n = sum(self.counts()) - sum(self.mass)
        chance = (c.concentration + c.discount * len(known)) / (c.concentration + n) if known and n > 0 else 1.0
        dormant = [0.0 if i in known else 1.0 for i in range(self.K)]
        if not self.lines("uniform", f"{kind}.founds.{j}", (len(cohort), 1))[slot, 0] < chance or not sum(dormant):
            return k
        near = [d * (self.space.similarity[k, i] if k is not None else 0.0) for i, d in enumerate(dormant)]
        share = nu if sum(near) > 0 else 0.0
        weight = [
            (1 - share) * d / sum(dormant) + share * s / max(sum(near), 1e-300)
            for d, s in zip(dormant, near, strict=True)
        ]
        return race(self.lines("exponential", f"{kind}.founded.{j}", (len(cohort), self.K))[slot][keys], weight)

    def sizes_for(self, family):
        return [s * w[family] for s, w in zip(self.shares, self.preference, strict=True)]

    def deal_by_type(self, dealt, u):
        """Founding materials of repositories that are not general."""
        general = {m for _, m, r in dealt if self.types[r] == "general"}
        for i, (family, _, r) in enumerate(dealt):
            if self.types[r] == "known":
                held = sorted(m for m in general if self.family_of[m] == family)
                if held:
                    dealt[i][1] = held[math.floor(u[i] * len(held))]
                else:
                    dealt[i][2] = 0
        taken = {m for _, m, r in dealt if self.types[r] != "enumerator"}
        draws = [self.lines("uniform", f"found.enumerate.{a}", len(dealt), 0) for a in range(ATTEMPTS)]
        for i, (family, material, r) in enumerate(dealt):
            if self.types[r] == "enumerator":
                dealt[i][1] = self.not_among(taken, family, material, [line[i] for line in draws])

    def not_among(self, taken, family, material, draws):
        """Draw again until a material is not taken."""
        first = int(self.space.start[family])
        for u in draws:
            if material not in taken:
                return material
            material = first + math.floor(u * self.size[family])
        free = [m for m in range(first, first + self.size[family]) if m not in taken]
        return next((m for m in free if m >= material), free[0]) if free else material

    def found_structures(self):
        p, space, n = self.p, self.space, self.p.founding.structures
        u = self.lines("uniform", "found.structure", (n, 4))
        order = sorted(range(self.K), key=lambda k: space.family_keys[k])
        among = self.revealed or range(self.K)
        weights = [self.size[k] ** p.founding.concentration if k in among else 0.0 for k in order]
        for i in range(n):
            family = order[invert(u[i, 0], weights)]
            material = int(space.start[family]) + math.floor(u[i, 1] * self.size[family])
            repository = invert(u[i, 2], self.sizes_for(family))
            federated = u[i, 3] < p.infrastructure.openness
            self.structures.append(Structure(record_key(3, i >> 15, 0, i & 0x7FFF), material, repository, federated))

    # ------------------------------------------------------------------ the tick

    def step(self):
        """Run one tick."""
        self.results = []
        self.happen()
        p = self.p
        if self.planners or self.trainers:
            self.fund()
        if self.curators and (p.curators.records > 0 or p.curators.structures > 0):
            self.assimilate()
        if self.trainers:
            self.abstract()
        if self.planners:
            self.steer()
            self.couple()
        if self.planners or self.trainers or self.base.stocks.hazard > 0 or self.shocks:
            self.maintain()
        self.tick += 1

    # ------------------------------------------------------------------ 7.16 policies, shocks, forgetting

    def judge_spread(self):
        """Median absolute deviation of each property."""
        self.mad = [float(np.median(np.abs(y - np.median(y)))) or 1.0 for y in self.property]

    def happen(self):
        """Run the phase events."""
        before, self.p = self.p, self.in_force()
        for shock in self.shocks:
            self.strike(shock)
        self.close()
        for t in self.trainers:
            t.invariance += self.p.trainers.invariance - before.trainers.invariance
            t.scale += self.p.trainers.scale - before.trainers.scale
        if self.p.infrastructure.providers != before.infrastructure.providers:
            count = self.p.infrastructure.providers
            for agent in self.trainers:
                agent.sources = (agent.sources + [None] * count)[:count]
            for agent in self.planners:
                agent.models = (agent.models + [None] * count)[:count]
            if count > before.infrastructure.providers and self.trainers:
                self.link_trainers(self.trainers)
                self.adopt()
        if self.p.commons.forgetting > 0:
            self.forget()

    def in_force(self):
        """Parameters at this tick."""
        p = self.base
        for policy in self.policies:
            if not policy.start <= self.tick or (policy.end is not None and self.tick >= policy.end):
                continue
            grown = min(1.0, (self.tick - policy.start + 1) / policy.ramp) if policy.ramp > 0 else 1.0
            s = grown * policy.strength
            for path, mode, t in LEVERS[policy.name]:
                group, name = path.split(".")
                b = getattr(getattr(p, group), name)
                if isinstance(b, (str, bool)):
                    value = t if s > 0 else b
                else:
                    value = {
                        "set": b + s * (t - b),
                        "floor": max(b, s * t),
                        "cap": min(b, t + (1 - s) * max(0.0, b - t)),
                    }[mode]
                    value = round(value) if isinstance(b, int) else value
                p = p.updated({path: value})
        for shock in self.shocks:
            if shock.name == "funding_cut" and self.lasts(shock):
                p = p.updated({"stocks.funding": p.stocks.funding * (1 - shock.strength)})
            if shock.name == "upkeep_decay" and self.lasts(shock):
                left = (1 - shock.strength) ** ((self.tick - shock.start + 1) / 12)
                p = p.updated({"stocks.upkeep": p.stocks.upkeep * left})
        return p

    def lasts(self, shock):
        end = shock.start + 1 if shock.end is None else shock.end
        return shock.start <= self.tick < end

    def strike(self, shock):
        """What a shock does at this tick."""
        s, begins = shock.strength, shock.start == self.tick
        if s == 0:
            return
        if shock.name == "poisoning" and self.lasts(shock):
            for r in self.records:
                if r.alive and r.tick == self.tick - 1 and self.of_record("shock.poisoning", r.key) < s:
                    z = self.streams.record_normal("shock.poisoning.noise", np.array([r.key], np.uint64), 1, 0)[0, 0]
                    r.value, r.corrupted = r.value + 2 + 0.5 * float(z), True
        if not begins:
            return
        if shock.name in ("repository_outage", "model_withdrawal", "host_outage", "model_freeze", "licence_end"):
            self.hit(shock)
        elif shock.name == "functional_revision":
            self.revise(s)
        elif shock.name == "objective_shift":
            self.shift_objective(s)
        elif shock.name == "retraction_wave":
            for r in self.records:
                if self.of_record("shock.retraction_wave", r.key) < s:
                    r.alive = False

    def revise(self, s):
        """Replace a share of the simulation bias, shuffled within families."""
        self.simulated = np.array([self.revised(t, s) for t in range(self.T)])

    def revised(self, number, s):
        """Simulated values of a property after a revision."""
        gap = self.simulated[number].astype(float) - self.property[number].astype(float)
        new = gap.copy()
        for k in range(self.K):
            rows = list(range(int(self.space.start[k]), int(self.space.start[k + 1])))
            key = {
                i: self.of_record("shock.functional_revision", int(self.space.material_keys[i]), self.tick)
                for i in rows
            }
            mean = gap[rows].mean()
            for other, i in zip(rows, sorted(rows, key=lambda i: key[i]), strict=True):
                new[i] = mean + math.sqrt(1 - s) * (gap[i] - mean) + math.sqrt(s) * (gap[other] - mean)
        return self.property[number] + new

    def shift_objective(self, s):
        """Turn every property sought toward its proxy."""
        gap = self.simulated.astype(float) - self.property.astype(float)
        mixed = (1 - s) * self.property.astype(float) + s * self.proxy.astype(float)
        self.property = np.array([standardised(y) for y in mixed])
        self.simulated = self.property + gap
        self.judge_spread()
        feasible = [i for i in range(self.N) if self.space.feasible[i]]
        count = max(1, round(self.p.space.top_share * len(feasible)))
        best = [set(sorted(feasible, key=lambda i, y=y: (-y[i], i))[:count]) for y in self.property]
        self.top = np.array([[i in some for i in range(self.N)] for some in best])
        self.known, self.found, self.ceilings = {pair for pair in self.tested if self.top[pair]}, {}, {}
        self.by_planners, self.curve = set(), []
        for q in self.planners:
            q.best_value, q.best_material = -math.inf, -1

    def forget(self):
        stay, grace = math.exp(-self.p.commons.forgetting), self.p.commons.grace
        if self.tick + 1 > grace:
            self.mass = [m * stay for m in self.mass]
        for r in self.records:
            if r.alive and self.tick - r.tick > grace and self.of_record("commons.forget", r.key, self.tick) >= stay:
                r.alive = False

    def enter(self, record):
        """Append a record."""
        self.records.append(record)
        if (LABEL[record.modality] == "measured" and record.origin != GENERATED) or record.origin == FAILED:
            self.note_tested(record)

    def note_found(self, number, material):
        pair = (number, material)
        if self.top[pair] and pair not in self.known and pair not in self.found:
            self.found[pair] = self.tick

    # ------------------------------------------------------------------ 7.15 stocks

    def fund(self):
        p, members = self.p, self.planners
        n = len(members)
        if n:
            lottery = p.stocks.lottery_share
            merit = min(p.stocks.merit_share, 1 - lottery)
            weight = {q.slot: (q.claims + 1) ** p.stocks.matthew for q in members}
            total = sum(weight.values())
            tickets = self.lines("uniform", "fund.lottery", (len(self.planners), 1))[:, 0]
            winners = sorted(members, key=lambda q: tickets[q.slot])[: max(1, n // 2)]
            income = n * p.planners.experiments * p.stocks.funding
            for q in members:
                share = merit * weight[q.slot] / total + (1 - merit - lottery) / n
                share += lottery / len(winners) if q in winners else 0.0
                q.funding += income * share
            self.apportion(members)
        for q in self.planners:
            q.attention += min(p.stocks.attention, p.stocks.attention_cap - q.attention)
            q.judged = 0.0
        for t in self.trainers:
            room = max(0.0, 4 * p.stocks.compute - t.compute)
            t.compute += min(p.stocks.compute / p.trainers.retrain_interval, room)

    def apportion(self, members):
        """Whole experiments by largest remainder."""
        total = math.floor(sum(q.funding for q in members) + 1e-9)
        positive = sum(max(q.funding, 0.0) for q in members)
        remainder = {}
        for q in members:
            quota = total * max(q.funding, 0.0) / positive if positive > 0 and total > 0 else 0.0
            q.budget = math.floor(quota + 1e-9)
            remainder[q.slot] = round(quota - q.budget, 9)
        short = max(total, 0) - sum(q.budget for q in members)
        for q in sorted(members, key=lambda q: -remainder[q.slot])[:short]:
            q.budget += 1
        for q in members:
            q.funding -= q.budget

    def maintain(self):
        p = self.p
        for q in self.planners:
            q.attention -= q.judged
        self.wear(self.repositories, self.repository_loads())
        self.wear(self.model_nodes, self.model_loads())
        kinds = ("repository", self.repositories), ("model", self.model_nodes), ("host", self.host_nodes)
        for kind, nodes in kinds:
            if nodes and (p.stocks.hazard > 0 or any(n.down for n in nodes)):
                self.outages(kind, nodes)

    def repository_loads(self):
        links = [s for t in self.trainers for s in t.sources]
        return [links.count(r) for r in range(self.R)]

    def model_loads(self):
        links = [m for q in self.planners for m in q.models]
        return [links.count(m) for m in range(len(self.trainers))]

    def wear(self, nodes, loads):
        if not nodes:
            return
        mean = sum(loads) / len(loads)
        for node, load in zip(nodes, loads, strict=True):
            node.health -= min(node.health, self.p.stocks.wear * (load / mean if mean > 0 else 1.0))
            node.health += min(1 - node.health, self.p.stocks.upkeep)

    def outages(self, kind, nodes):
        stocks = self.p.stocks
        u = self.lines("uniform", f"maintain.{kind}", (len(nodes), 2))
        for i, node in enumerate(nodes):
            if node.down:
                if node.until <= self.tick and u[i, 1] < stocks.repair:
                    node.down, node.health = False, 1.0
            elif u[i, 0] < 1 - math.exp(-stocks.hazard * math.exp(stocks.hazard_steepness * (1 - node.health))):
                node.down, node.until = True, self.tick + 1

    # ------------------------------------------------------------------ 7.3 to 7.7 curators

    def attention_to_families(self, x, eps, gamma, nu, log_weights=None):
        """f_k."""
        if self.unfolding:
            return self.attention_to_revealed(x, eps, gamma, nu, log_weights)
        total, K = sum(x), self.K
        log_weights = [0.0] * K if log_weights is None else log_weights
        reinforced = []
        for k in range(K):
            power = 1.0 if gamma == 0 else (0.0 if x[k] == 0 else x[k] ** gamma)
            reinforced.append(power * math.exp(log_weights[k]))
        whole = sum(reinforced)
        f = []
        for k in range(K):
            near = sum(self.space.similarity[j, k] * x[j] for j in range(K)) / total if total > 0 else 0.0
            explored = (1 - nu) / K + nu * near if total > 0 else 1 / K
            f.append(eps * explored + (1 - eps) * (reinforced[k] / whole if whole > 0 else 1 / K))
        return f

    def attention_to_revealed(self, x, eps, gamma, nu, log_weights=None):
        """f_k over revealed families, 0 elsewhere."""
        known, f = [k for k in range(self.K) if k in self.revealed], [0.0] * self.K
        x = {k: max(x[k] - self.p.commons.discount, 0.0) for k in known}
        total, S = sum(x.values()), self.space.similarity
        row = {j: sum(S[j, k] for k in known) for j in known}
        power = {k: (1.0 if gamma == 0 else 0.0 if x[k] == 0 else x[k] ** gamma) for k in known}
        reinforced = {k: power[k] * math.exp(0.0 if log_weights is None else log_weights[k]) for k in known}
        whole = sum(reinforced.values())
        for k in known:
            uniform = 1 / len(known)
            near = sum((S[j, k] / row[j] if row[j] > 0 else uniform) * x[j] for j in known)
            explored = (1 - nu) * uniform + nu * near / total if total > 0 else uniform
            f[k] = eps * explored + (1 - eps) * (reinforced[k] / whole if whole > 0 else uniform)
        return f

    def label(self, number, material, modality, z):
        """Value and claimed variance of a label of a property."""
        p, y, simulated = self.p, float(self.property[number][material]), float(self.simulated[number][material])
        measured = p.modalities.measured_noise * NOISE[modality] * float(self.space.difficulty[material])
        centre, s = {
            "measured": (y, measured),
            "hybrid": ((y + simulated) / 2, measured / 2),
            "simulated": (simulated, p.modalities.simulated_noise * NOISE[modality]),
        }[LABEL[modality]]
        return centre + s * z, max(s * s, 1e-6)

    def overlaps(self):
        """Simulated precision, gap and measured precision of pairs with both kinds of label in view."""
        sums = {}
        for r in self.records:
            if r.alive and r.origin != FAILED and self.in_view(r):
                kinds = {"simulated": [0.0, 0.0], "hybrid": [0.0, 0.0], "measured": [0.0, 0.0]}
                both = sums.setdefault((r.property, r.material), kinds)
                precision = 1 / max(r.variance, 1e-6)
                both[LABEL[r.modality]][0] += precision
                both[LABEL[r.modality]][1] += precision * r.value
        out = {}
        for pair, both in sums.items():
            (p_s, v_s), (p_m, v_m) = both["simulated"], both["measured"]
            if p_s > 0 and p_m > 0:
                out[pair] = (p_s, v_s / p_s - v_m / p_m, p_m)
        return out

    def biases(self, sought):
        """Estimated bias of a property in each family."""
        n, g = [0] * self.K, [0.0] * self.K
        for (number, material), (_, gap, _) in self.overlaps().items():
            if number == sought:
                n[self.family_of[material]] += 1
                g[self.family_of[material]] += gap
        o = sum(g) / (sum(n) + SHRINK)
        return [o + (g[k] - n[k] * o) / (n[k] + SHRINK) for k in range(self.K)]

    def squares_left(self):
        """Mean square of the bias that harmonised labels keep, of each property in each family."""
        h, bias = self.p.trainers.harmonisation, [self.biases(t) for t in range(self.T)]
        left = [[[] for _ in range(self.K)] for _ in range(self.T)]
        for (number, material), (_, gap, precision) in self.overlaps().items():
            k = self.family_of[material]
            left[number][k].append((gap - h * bias[number][k]) ** 2 - 1 / precision)
        every = [x for cells in left for cell in cells for x in cell]
        overall = sum(every) / max(1, len(every))
        out = []
        for cells in left:
            own = [x for cell in cells for x in cell]
            mean = (sum(own) + SHRINK * overall) / (len(own) + SHRINK)
            out.append([max(0.0, (sum(cell) + SHRINK * mean) / (len(cell) + SHRINK)) for cell in cells])
        return out

    def perceived_boundary_shift(self):
        p, overlaps = self.p.layers, self.overlaps()
        kept = {r.material for r in self.records if r.alive}
        v = [0] * self.K
        for material in kept:
            v[self.family_of[material]] += 1
        coverage = 0.0
        for k in self.revealed:
            if p.coverage_share > 0:
                s = p.coverage_share
                coverage += (1 - math.exp(-v[k] / (s * self.size[k]))) / (1 - math.exp(-1 / s)) / len(self.revealed)
            else:
                coverage += (1 - math.exp(-v[k] / p.coverage_scale)) / len(self.revealed)
        n, o = len(overlaps), p.prior_overlaps
        mean = sum(q for q, _, _ in overlaps.values()) / n if n else 1.0
        good = sum(q * math.exp(-gap * gap / 2) for q, gap, _ in overlaps.values())
        whole = sum(q for q, _, _ in overlaps.values()) + o * mean
        fidelity = 1.0 if not n and not o else (good + o * mean) / whole
        if p.boundary_shift == "alternative":
            size = sum(self.counts()) / max(1, self.p.founding.records)
            return p.coverage_weight * math.log(max(size, 1e-6)) - p.fidelity_weight * math.log(
                max(fidelity / p.fidelity_scale, 1e-6)
            )
        return p.coverage_weight * coverage - p.fidelity_weight * fidelity

    def assimilate(self):
        p = self.p.curators
        audit, quota = p.audit_rate, p.measured_quota
        if p.response_dal > 0:
            shift = p.response_dal * self.perceived_boundary_shift()
            raised = audit > self.base.curators.audit_rate, quota > self.base.curators.measured_quota
            least = audit if raised[0] else 0.0, quota if raised[1] else 0.0
            audit = min(max(audit + 0.25 * shift, least[0]), 1.0)
            quota = min(max(quota + 0.5 * shift, least[1]), 1.0)
        awake = [c for c in self.curators if not self.repositories[c.repository].down]
        for c in awake:
            c.credit += p.records * (1 - audit)
            c.audit_credit += p.records * audit
        self.acquire(awake, quota)
        if audit > 0:
            self.audit(awake)

    def acquire(self, awake, quota):
        p, space, count = self.p.curators, self.space, len(self.curators)
        waves = math.ceil(max((c.credit for c in awake), default=0.0) - 1e-9)
        numbers = [self.lines("uniform", f"curator.record.{j}", (count, 8)) for j in range(waves)]
        f = self.curator_attention()
        self.collect(awake, f)
        pending = []
        again = [self.lines("uniform", f"curator.enumerate.{j}", (count, ATTEMPTS)) for j in range(waves)]
        held = {r.material for r in self.records if r.alive}
        seen = {r.material for r in self.records if r.alive and self.in_view(r)}
        for c in awake:
            cost, kind = 0.0, self.types[c.repository]
            mine = [a * w for a, w in zip(f, self.preference[c.repository], strict=True)]
            for k in range(self.K):
                members = range(int(space.start[k]), int(space.start[k + 1]))
                if (kind == "enumerator" and held.issuperset(members)) or (kind == "known" and not seen & set(members)):
                    mine[k] = 0.0
            for j in range(waves):
                if not cost < c.credit - 1e-9:
                    break
                u = numbers[j][c.slot]
                family = self.choose_family("curator", self.curators, c.slot, j, mine, p.adjacency)
                if family is None:
                    family = 0  # the first row, where no family has anything to enter
                material = int(space.start[family]) + math.floor(u[0] * self.size[family])
                if kind == "known":
                    among = sorted(m for m in seen if self.family_of[m] == family)
                    if not among:
                        break
                    material = among[math.floor(u[0] * len(among))]
                if kind == "enumerator":
                    material = self.not_among(held, family, material, again[j][c.slot])
                modality = 0 if kind == "enumerator" else self.choose_modality(material, u[1], u[2], quota)
                cost += {"simulated": 1.0, "measured": p.measured_cost, "hybrid": (1 + p.measured_cost) / 2}[
                    LABEL[modality]
                ]
                pending.append((c, j, family, material, modality, u))
            c.credit = min(c.credit - cost, p.measured_cost)
        for _, _, family, *_ in pending:
            self.reveal(family)
        self.write_down(pending)

    def collect(self, awake, f):
        """Enter structures."""
        p, space, count = self.p, self.space, len(self.curators)
        for j in range(p.curators.structures):
            clocks = self.lines("exponential", f"curator.structure.family.{j}", (count, self.K))
            u = self.lines("uniform", f"curator.structure.{j}", (count, 2))
            for c in awake:
                mine = [a * w for a, w in zip(f, self.preference[c.repository], strict=True)]
                family = race(clocks[c.slot][space.family_keys], mine)
                material = int(space.start[family]) + math.floor(u[c.slot, 0] * self.size[family])
                federated = u[c.slot, 1] < p.infrastructure.openness
                key = record_key(4, c.slot, self.tick, j)
                self.structures.append(Structure(key, material, c.repository, federated))

    def curator_attention(self):
        p = self.p.curators
        x = self.counts()
        weights = None
        if p.model_guidance > 0 and self.served_pairs():
            logs = [self.log_weights(*pair) for pair in self.served_pairs()]
            trust = [self.trust_in(*pair) for pair in self.served_pairs()]
            weights = p.model_guidance * np.average(logs, axis=0, weights=trust)
        eps = max(p.exploration, p.exploration_floor)
        f = self.attention_to_families(x, eps, p.reinforcement, p.adjacency, weights)
        if p.coverage_seeking > 0:
            rare = [1 / (1 + n) if k in self.revealed else 0.0 for k, n in enumerate(x)]
            f = [
                (1 - p.coverage_seeking) * a + p.coverage_seeking * r / sum(rare) for a, r in zip(f, rare, strict=True)
            ]
        return f

    def available(self, material, modality):
        """Whether data of a modality can be had of a material."""
        if LABEL[modality] != "simulated" and not self.space.feasible[material]:
            return False
        key = 6 * int(self.space.material_keys[material]) + modality
        return self.of_record("modality.available", key) < COVERAGE[modality]

    def choose_modality(self, material, u1, u2, quota):
        mix = self.p.curators.modality_mix
        modality = RISING_FIDELITY[invert(u1, [mix[m] for m in RISING_FIDELITY])]
        if not self.available(material, modality):
            modality = 0
        measured = [m for m in range(6) if LABEL[m] == "measured"]
        expected = sum(mix[m] / sum(mix) * COVERAGE[m] for m in measured) * self.share_feasible
        none = 1.0
        for m in measured:
            none *= 1 - COVERAGE[m]
        attainable = self.share_feasible * (1 - none)
        if LABEL[modality] != "measured" and u2 < max(0.0, quota - expected) / (attainable - expected):
            modality = next((m for m in measured if self.available(material, m)), modality)
        return modality

    def write_down(self, pending):
        """Provenance errors, labels, pseudo-labels; then all records enter."""
        p, space = self.p, self.space
        rate = p.curators.provenance_errors * (1 - p.curators.qa)
        left = self.squares_left() if p.curators.bias_claims else None
        entries, again = [], []
        for c, j, family, material, modality, u in pending:
            t = u[4] / rate if rate > 0 else math.inf
            described, stored = material, modality
            if t < 1 / 3:
                described = int(space.start[family]) + math.floor(u[5] * self.size[family])
            elif t < 2 / 3:
                stored = (modality + 1 + math.floor(5 * u[5])) % 6
            key = record_key(1, c.slot, self.tick, j)
            number = self.labelled(key, modality)
            value, variance = self.label(number, described, modality, quantile(u[3]))
            if left:
                variance += HARMONISED[LABEL[modality]] ** 2 * left[number][family]
            record = Record(
                key=key,
                property=number,
                material=material,
                family=family,
                modality=stored,
                value=value,
                variance=variance,
                origin=SIMULATION,
                repository=c.repository,
                producer=c.slot,
                tick=self.tick,
                federated=u[7] < p.infrastructure.openness,
                corrupted=t < 1,
            )
            entries.append((record, modality, u[6]))
            if 2 / 3 <= t < 1:
                again.append((record, modality))
        chosen = [r for r, m, u6 in entries if LABEL[m] == "simulated" and u6 < p.coupling.pseudo_share]
        for number in range(self.T):
            self.generate(number, [r for r in chosen if r.property == number])
        copies = [(replace(r, key=r.key + DOUBLE_ENTRY), m) for r, m in again]
        for record, modality in [(r, m) for r, m, _ in entries] + copies:
            self.enter(record)
            if LABEL[modality] == LABEL[record.modality] == "measured":
                self.note_found(record.property, record.material)

    def generate(self, number, records):
        """Pseudo-labels of a property from its most adopted served model."""
        served, n = self.served(number), self.adopters(number)
        if not served or not records:
            return
        model = self.trainers[max(served, key=lambda m: (n[m], -m))].models[number]
        simulated = [float(self.simulated[number][r.material]) for r in records]
        centre = 0.0
        if self.p.coupling.pseudo_anchor == "model":
            centre = model.head.offset + (float(np.mean(simulated)) if model.adds_simulated else 0.0)
        v = self.p.coupling.uncertainty_ral_isl
        for r in records:
            x = self.ambient(r.material, self.gauge("curator.generate.gauge", r.key))
            mean, variance = model.predict(r.material, model.features(x))
            claimed = max(variance, 1e-8) / self.p.trainers.overconfidence**2
            scatter = quantile(self.of_record("curator.generate.noise", r.key)) * math.sqrt(claimed)
            r.value = centre + self.p.coupling.pseudo_gain * (mean - centre) + self.p.coupling.pseudo_noise * scatter
            r.variance = v * claimed + (1 - v) * r.variance
            r.origin = GENERATED

    def audit(self, awake):
        """Re-measure open records of the curators' repositories."""
        cost, chosen = self.p.curators.measured_cost, []
        for repository in range(self.R):
            pile = [r for r in self.records if r.repository == repository and self.open_to_audit(r)]
            pile.sort(key=lambda r: self.of_record("curator.audit", r.key, self.tick))
            for c in awake:
                if c.repository != repository:
                    continue
                asked = math.floor(c.audit_credit / cost + 1e-9)
                if asked > 0:
                    got, pile = pile[:asked], pile[asked:]
                    c.audit_credit = min(c.audit_credit - len(got) * cost, cost)
                    chosen += got
        for r in chosen:
            z = quantile(self.of_record("curator.audit.noise", r.key, self.tick))
            r.modality, r.audited, r.corrupted = SPECTROSCOPY, True, False
            r.value, r.variance = self.label(r.property, r.material, SPECTROSCOPY, z)
            self.note_tested(r)
            self.note_found(r.property, r.material)

    def open_to_audit(self, r):
        measured = LABEL[r.modality] == "measured"
        return r.alive and r.origin != FAILED and not measured and bool(self.space.feasible[r.material])

    # ------------------------------------------------------------------ 7.8 to 7.10 trainers

    def link_trainers(self, trainers):
        if not trainers:
            return
        weights = [
            (h + 1) ** self.p.infrastructure.preference if not node.down and node.closing is None else 0.0
            for h, node in zip(self.held(), self.repositories, strict=True)
        ]
        clocks = self.lines("exponential", "trainer.repository", (len(self.trainers), self.R))
        for t in trainers:
            kept = [s for s in t.sources if s is not None]
            t.sources = choose_links(kept, clocks[t.slot], weights, self.p.infrastructure.providers)

    def abstract(self):
        self.search()
        self.release()
        tau, M = self.p.trainers.retrain_interval, len(self.trainers)
        due = [t for t in self.trainers if self.tick == 0 or (self.tick + t.slot * tau // M) % tau == 0]
        if not due:
            return
        if self.tick > 0:
            u = self.lines("uniform", "trainer.rewire", (M, MOST_LINKS))
            for t in due:
                for place in range(len(t.sources)):
                    if u[t.slot, place] < self.p.infrastructure.rewiring:
                        t.sources[place] = None
            self.link_trainers(due)
        panel = self.draw_panel()
        for t in due:
            self.retrain(t, panel)

    def draw_panel(self, tick=None):
        """Materials and their two gauges, family after family."""
        b, g = self.p.trainers.panel, self.view_numbers
        u = self.lines("uniform", "panel.material", (self.K, b), tick)
        gauges = self.lines("normal", "panel.gauge", (self.K, 2, b, g), tick)
        panel = []
        for k in range(self.K):
            line = self.space.family_keys[k]
            for i in range(b):
                material = int(self.space.start[k]) + math.floor(u[line, i] * self.size[k])
                panel.append((material, gauges[line, 0, i], gauges[line, 1, i]))
        return panel

    def retrain(self, t, panel):
        p, working = self.p, [s for s in t.sources if s is not None and not self.repositories[s].down]
        scale = min(t.scale, p.trainers.scale_cap)
        if p.stocks.compute > 0:
            scale = max(min(scale, t.compute), 1 / 64)
        node = self.model_nodes[t.slot]
        if len(working) < max(1, p.infrastructure.need) or node.down or node.frozen:
            return
        sample = self.sample(working, scale)
        if not sample:
            return
        if p.stocks.compute > 0:
            t.compute -= min(scale, t.compute)
        encoder, fresh, alone = None, [], p.trainers.corpus == "own"
        labels = [[r for r in sample if r.property == number] for number in range(self.T)]
        for own in sorted((of for of in labels if of), key=len, reverse=True):
            number = own[0].property
            if alone or encoder is None:
                encoder = self.choose_encoder(t, number, own if alone else sample, scale)
            self.choose_width(encoder, number, own)
            last = t.models[number].head if number in t.models else None
            model = self.train(encoder, number, own, scale, panel, last)
            model.diagnosis = self.diagnose(model, panel, own, scale)
            model.tradeoff = model.diagnosis["tradeoff"]
            model.diagnosis["tradeoff_measured"] = self.measured_tradeoff(t, model, panel, working, scale)
            fresh.append(model)
        feasibility = self.learn_feasibility(t, fresh[0].features, working)
        for model in fresh:
            model.feasibility, model.feasibility_features = feasibility, fresh[0].features
        if self.tick > 0 and p.trainers.training_time > 0:
            t.in_training.append((self.tick + p.trainers.training_time, fresh))
        else:
            self.publish(t, fresh)

    def publish(self, t, fresh):
        """What a trainer has trained becomes what others see."""
        t.model = fresh[0]
        for model in fresh:
            old = t.models.get(model.property)
            model.errors = [] if old is None else old.errors
            self.curve.append((model.property, math.log(len(model.sample)), math.log(self.centred(model)[0])))
            t.models[model.property] = model
        self.respond(t, fresh[0])

    def respond(self, t, model):
        p = self.p
        if not p.trainers.response_ral:
            return
        if p.trainers.measured_response:
            measured = model.diagnosis["tradeoff_measured"]
            t.direction = -t.direction if measured < t.last_tradeoff else t.direction
            t.last_tradeoff = measured
        else:
            t.direction = np.sign(model.diagnosis["slope"])
        t.scale = min(max(t.scale * 2 ** (p.trainers.response_ral * t.direction), 1 / 16), p.trainers.scale_cap)

    def learn_feasibility(self, t, features, working):
        """What a trainer learns about which materials can be made; None where nothing has failed."""
        trials = {}
        for r in self.records:
            if r.alive and LABEL[r.modality] == "measured" and (r.federated or r.repository in working):
                trials.setdefault(r.material, r)
        trials = list(trials.values())
        if self.p.planners.feasibility_weight == 0 or all(r.origin != FAILED for r in trials):
            return None
        shown = [self.ambient(r.material, self.gauge("record.gauge.1", r.key)) for r in trials]
        phis = [features.first(x, FEATURES_OF_FEASIBILITY) for x in shown]
        families = [int(self.space.family_keys[r.family]) for r in trials]
        past = sorted((m for m in t.models.values() if m.feasibility is not None), key=lambda m: m.trained)
        last = past[-1].feasibility if past else None
        return Feasibility(phis, families, [r.origin != FAILED for r in trials], last)

    def centred(self, model):
        """Error less its mean over the panel, over all families and over niche ones."""
        mean, y = model.panel_predictions()[0], self.property[model.property]
        errors = [m - float(y[i]) for m, i in zip(mean, model.panel, strict=True)]
        middle = sum(errors) / len(errors)
        b = len(errors) // self.K  # family after family
        squares = [sum((e - middle) ** 2 for e in errors[k * b : (k + 1) * b]) / b for k in range(self.K)]
        dense = [bool(d) for d in self.space.dense]
        niche = [s for s, d in zip(squares, dense, strict=True) if not d or all(dense)]
        return math.sqrt(sum(squares) / len(squares)), math.sqrt(sum(niche) / len(niche))

    def indicators(self):
        """What data are judged by: centred errors of the models in use, finds of planners, the learning curve."""
        served, n = self.served_pairs(), [self.adopters(t) for t in range(self.T)]
        weight = [n[t][m] for t, m in served]
        weight = weight if any(weight) else [1] * len(served)
        seen = [self.centred(self.trainers[m].models[t]) for t, m in served]
        errors = [
            sum(w * e[i] for w, e in zip(weight, seen, strict=True)) / sum(weight) if seen else math.nan for i in (0, 1)
        ]
        existing = int(self.top.sum()) - len(self.known)
        overlap = self.overlap()
        found = len(self.by_planners & set(self.found))
        use = [(q, self.model_of(q, self.tick - 1)) for q in self.planners]
        ages = [self.tick - 1 - self.trainers[m].models[q.property].trained for q, m in use if m is not None]
        return {
            "labs_learning": sum(m is None and self.learns(q) for q, m in use) / len(use) if use else math.nan,
            "model_age": sum(ages) / len(ages) if ages else math.nan,
            "rmse_centred": errors[0],
            "rmse_centred_niche": errors[1],
            "found_by_planners": found,
            "found_by_planners_share": found / existing if existing else math.nan,
            "learning_exponent": self.exponent() if seen else math.nan,
            **overlap,
        }

    def overlap(self):
        """How far repositories stand in for each other."""
        holders, readers, copied = {}, {}, set()
        up = [r for r in range(self.R) if not self.repositories[r].down]
        for record in self.records:
            if not record.alive:
                continue
            holders.setdefault(record.material, set()).add(record.repository)
            if record.repository in up:
                readers.setdefault(record.material, set()).add(record.repository)
            if record.federated and up:
                copied.add(record.material)
        held = [sum(r in places for places in holders.values()) for r in range(self.R)]
        unique = [sum(places == {r} for places in holders.values()) for r in range(self.R)]
        sole = [
            sum(at == {r} and (len(up) == 1 or m not in copied) for m, at in readers.items()) for r in range(self.R)
        ]
        shares = [x / n if n else math.nan for x, n in zip(unique, held, strict=True)]
        readable = len(set(readers) | copied)
        return {
            "unique_share": float(np.nanmean(shares)) if holders else math.nan,
            "unique_share_largest": shares[held.index(max(held))],
            "one_place_share": sum(unique) / len(holders) if holders else math.nan,
            "sole_share": max(sole) / readable if readable else math.nan,
        }

    def likeness(self):
        """How alike models of one property err and pick, over ordered pairs."""
        served, names = self.served_pairs(), ("error_correlation", "overlap_top", "shared_wrong_picks")
        names += ("error_shared_corpus", "error_shared_encoder", "error_intrinsic")
        b = max(1, round(200 / self.K))
        u = self.lines("uniform", "comparison.material", (self.K, b), 0)
        stream = self.streams.generator("comparison.view", 0)
        views = stream.standard_normal((self.K, b, self.view_numbers), dtype=np.float32)
        shown = []
        for k in range(self.K):
            line = self.space.family_keys[k]
            for i in range(b):
                shown.append((int(self.space.start[k]) + math.floor(u[line, i] * self.size[k]), views[line, i]))
        seen = {}
        for t, m in served:
            model = self.trainers[m].models[t]
            model.compared = model.compared or [model.features(self.ambient(i, view)) for i, view in shown]
            said = [model.predict(i, phi)[0] for (i, _), phi in zip(shown, model.compared, strict=True)]
            truth = [float(self.property[t][i]) for i, _ in shown]
            seen[t, m] = model, np.subtract(said, truth), leaders(said), leaders(truth)
        pairs = [(seen[a], seen[b]) for a in served for b in served if a != b and a[0] == b[0]]
        if not pairs:
            return dict.fromkeys(names, math.nan)
        r = [np.corrcoef(mine[1], other[1])[0, 1] for mine, other in pairs]
        overlap = [2 * len(mine[2] & other[2]) / (len(mine[2]) + len(other[2])) for mine, other in pairs]
        wrong = sum(len(mine[2] - mine[3]) for mine, _ in pairs)
        both = sum(len((mine[2] - mine[3]) & other[2]) for mine, other in pairs)
        reading = [
            len(set(mine[0].sample) & set(other[0].sample)) / len(set(mine[0].sample) | set(other[0].sample))
            for mine, other in pairs
        ]
        lineage = [float(mine[0].encoder.lineage == other[0].encoder.lineage) for mine, other in pairs]
        parts = self.parts(r, reading, lineage, [mine[0].property for mine, _ in pairs])
        values = (np.mean(r), np.mean(overlap), both / wrong if wrong else math.nan, *parts)
        return dict(zip(names, values, strict=True))

    def parts(self, r, reading, lineage, numbers):
        """Least squares with an intercept for each property; what does not differ between pairs has no slope."""
        levels = np.array([[float(t == n) for t in range(self.T)] for n in numbers])

        def bent(values):
            values = np.array(values)
            return values - levels @ np.linalg.lstsq(levels, values, rcond=None)[0]

        causes = [reading, lineage]
        free = [i for i in (0, 1) if (bent(causes[i]) ** 2).sum() > 1e-9 * len(r)]
        x = np.array([bent(causes[i]) for i in free]).T
        slopes = [math.nan if any(cause) else 0.0 for cause in causes]
        if free and np.linalg.matrix_rank(x, tol=1e-4) == len(free):
            for i, slope in zip(free, np.linalg.lstsq(x, bent(r), rcond=None)[0], strict=True):
                slopes[i] = slope
        given = [s * np.mean(cause) for s, cause in zip(slopes, causes, strict=True)]
        return [*given, np.mean(r) - sum(given)]

    def exponent(self):
        """Slope of log errors on log labels, with an intercept for each property whose labels spread."""
        sets = [[(x, y) for t, x, y in self.curve if t == number] for number in range(self.T)]
        sets = [s for s in sets if len(s) > 2 and max(s)[0] - min(s)[0] > math.log(1.25)]
        if not sets:
            return math.nan
        columns = [[x, *(float(i == j) for j in range(len(sets)))] for i, s in enumerate(sets) for x, _ in s]
        return float(np.linalg.lstsq(np.array(columns), [y for s in sets for _, y in s], rcond=None)[0][0])

    def feature_count(self, scale, records):
        """Random features of a head."""
        p = self.p.trainers
        if p.head == "mean":
            return 0
        if p.features_growth > 0:
            return min(p.features_most, max(32, 16 * round(p.features_growth * math.sqrt(scale * records) / 16)))
        return max(1, round(p.features * math.sqrt(scale)))

    def train(self, encoder, number, sample, scale, panel, last=None):
        """Fit the head of a property on an encoder and predict the panel."""
        p, count = self.p.trainers, self.feature_count(scale, len(sample))
        length = p.length_scale * self.kernel_widths.get(encoder.lineage, 1.0)
        features = Features(self.streams, encoder, count, length)
        head = self.fit(features, number, sample, last)
        model = Model(self, number, features, head, p.delta_learning or p.physical_prior)
        model.trained, model.sample = self.tick, [r.material for r in sample]
        model.panel = [i for i, _, _ in panel]
        model.panel_phi = [features(self.ambient(i, g)) for i, g, _ in panel]
        return model

    def choose_width(self, encoder, number, sample):
        """Width of a lineage's kernel, by the density of some labels under a Gaussian process with each."""
        p = self.p.trainers
        if p.width == "fixed" or p.head != "bayesian" or encoder.lineage in self.kernel_widths:
            return
        rows, labels, variances, _ = self.lessons(number, sample)
        self.kernel_widths[encoder.lineage] = self.likeliest(encoder, rows, labels, variances)

    def likeliest(self, encoder, rows, labels, variances):
        some, best = slice(None, None, max(1, len(rows) // 600)), (-math.inf, 1.0)
        for width in (0.5, 1.0, 2.0, 4.0):
            features = Features(self.streams, encoder, 200, self.p.trainers.length_scale * width)
            phi = np.array([features(x) for x in rows[some]])
            head = Head(phi, labels[some], variances[some])
            covariance = phi @ phi.T / head.prior + np.diag(head.noise + variances[some])
            off = labels[some] - head.offset
            density = -(off @ np.linalg.solve(covariance, off) + np.linalg.slogdet(covariance)[1]) / 2
            best = max(best, (density, width), key=lambda pair: pair[0])
        return best[1]

    def panel_error(self, model):
        """Mean squared error on the panel, and the variance of the property there."""
        y = self.property[model.property][model.panel].astype(float)
        return np.mean((model.panel_predictions()[0] - y) ** 2), y.var() or 1.0

    def sample(self, working, scale):
        p = self.p.trainers
        reachable = [
            r
            for r in self.records
            if r.alive
            and r.origin != FAILED
            and (r.federated or r.repository in working)
            and (p.labels == "all" or LABEL[r.modality] == p.labels)
        ]
        count = max(1, round(scale * p.records)) if p.records else len(reachable)
        place = {r.key: self.of_record("commons.order", r.key) for r in reachable}

        def first(records, n):
            return sorted(records, key=lambda r: place[r.key])[:n]

        tau, s = p.retrain_interval, p.fresh_floor
        fresh = [r for r in reachable if self.tick - r.tick < tau and r.origin != GENERATED]
        if s > 0 and fresh:
            rest = [r for r in reachable if r not in fresh]
            old = min(len(rest), math.floor(len(fresh) * (1 - s) / s), count - min(len(fresh), math.ceil(s * count)))
            chosen = {r.key for r in first(rest, old) + first(fresh, count - old)}
        else:
            chosen = {r.key for r in first(reachable, count)}
        return [r for r in reachable if r.key in chosen]

    def choose_encoder(self, t, number, sample, scale):
        p = self.p.trainers
        others = [m for m in self.trainers if m.model is not None and m is not t]
        reuse = self.lines("uniform", "trainer.reuse", (len(self.trainers), 1))[t.slot, 0] < p.reuse
        if reuse and others:
            n = self.adopters()
            clock = self.lines("exponential", "trainer.donor", (len(self.trainers), len(self.trainers)))[t.slot]
            donor = min(others, key=lambda m: clock[m.slot] / (1 + n[m.slot]))
            same = donor.models.get(number, donor.model)
            return (same if same.trained == donor.model.trained else donor.model).encoder
        objective = p.objective
        if objective == "mixed":
            objective = ("masked", "contrastive", "fusion", "graph")[t.slot % 4]
        return self.own_encoder(objective, t.slot, t.invariance, self.corpus(t, sample), scale, t.models)

    def corpus(self, t, sample):
        """Records, and structures behind them, that an encoder is trained on."""
        if self.p.trainers.corpus != "reachable":
            return sample
        working = [s for s in t.sources if s is not None and not self.repositories[s].down]
        labelled = [r for r in self.records if r.alive and r.origin != FAILED]
        return [r for r in labelled + self.structures if r.federated or r.repository in working]

    def own_encoder(self, objective, lineage, invariance, sample, scale, last):
        p = self.p.trainers
        k = min(max(1, p.latent_dims + round(p.latent_per_doubling * math.log2(scale))), self.columns)
        if self.observed:
            # Each material once.
            sample = [r for i, r in enumerate(sample) if r.material not in {s.material for s in sample[:i]}]
        gains = [self.by_column(GAINS[r.modality]) for r in sample]
        counts = np.bincount([r.modality for r in sample], minlength=6).astype(float)
        others = []
        for r in sample:
            weight = counts.copy()
            weight[r.modality] = 0.0
            weight += 1e-6
            others.append(sum(w / weight.sum() * self.by_column(g) for w, g in zip(weight, GAINS, strict=True)))
        views = [
            [
                self.ambient(r.material, self.gauge(f"record.gauge.{view}", r.key), seen)
                for r, seen in zip(sample, shown, strict=True)
            ]
            for view, shown in ((1, gains), (2, others))
        ]
        if self.observed:
            gains = others = [np.ones(self.columns)] * len(sample)
        q = self.p.trainers.graph_smoothing
        smoothed = None
        if objective == "graph":
            corpus = [r.material for r in sample]
            near = [self.neighbourhood(material, corpus) for material in corpus]
            smoothed = [(1 - q) * x + q * mean for x, mean in zip(views[0], near, strict=True)]
        inputs = self.by_column({"quantum": 1.0, "meso": 1.0, "gauge": 1 - invariance, "spurious": 1.0})
        weight, distinct = self.p.trainers.fusion_weight, len(sample) if self.observed else None
        gradients = []
        if p.supervised > 0:
            gradients = [m.features.slope(x, m.head.mean) for m in last.values() for x in views[0]]
        lesson = gradients, p.supervised
        return fit_encoder(
            objective, k, inputs, views, gains, others, smoothed, weight, lineage, invariance, distinct, lesson
        )

    def neighbourhood(self, material, corpus):
        """Mean ambient descriptor, gauge 0, of the neighbours of a material."""
        k = self.family_of[material]
        first, size = int(self.space.start[k]), self.size[k]
        window = [first + (material - first + step) % size for step in range(1, min(NEIGHBOUR_WINDOW, size - 1) + 1)]
        if self.observed:
            window = [i for i in corpus if self.family_of[i] == k and i != material]
            near = sorted(window, key=lambda i: ((self.ambient(i) - self.ambient(material)) ** 2).sum())[:NEIGHBOURS]
            return np.mean([self.ambient(i) for i in near or [material]], axis=0)
        width = self.widths[0]
        own = self.ambient(material)[:width]
        window.sort(key=lambda i: ((self.ambient(i)[:width] - own) ** 2).sum())
        near = window[:NEIGHBOURS] or [material]
        near += [near[0]] * (NEIGHBOURS - len(near))
        return np.mean([self.ambient(i) for i in near], axis=0)

    def lessons(self, number, sample):
        """Rows, labels and variances that a head is fitted to, and records at which its offset counts half."""
        p = self.p
        delta, prior = p.trainers.delta_learning, p.trainers.physical_prior
        if delta:
            sample = [r for r in sample if LABEL[r.modality] == "measured"]
        bias = self.biases(number)
        labels = np.array(
            [
                r.value
                - p.trainers.harmonisation * HARMONISED[LABEL[r.modality]] * bias[r.family]
                - (float(self.simulated[number][r.material]) if delta or prior else 0.0)
                for r in sample
            ]
        )
        variances = np.array([r.variance for r in sample])
        if sample:
            o, whole = p.coupling.uncertainty_modalities, variances.mean()
            own = {m: np.mean([r.variance for r in sample if r.modality == m]) for m in {r.modality for r in sample}}
            variances = np.array(
                [r.variance * (o * own[r.modality] + (1 - o) * whole) / own[r.modality] for r in sample]
            )
            o = p.coupling.uncertainty_dal_ral
            variances = o * variances + (1 - o) * variances.mean()
        rows = [self.ambient(r.material, self.gauge("record.gauge.1", r.key)) for r in sample]
        return rows, labels, variances, 10 if prior and not delta else 0

    def fit(self, features, number, sample, last):
        p, count = self.p.trainers, features.count
        rows, labels, variances, shrink = self.lessons(number, sample)
        if p.features_growth == 0 or p.head == "mean":
            last = None
        phi, q = np.array([features(x) for x in rows]).reshape(-1, count + 1), min(p.bias_features, count)
        if q == 0:
            return Head(phi, labels, variances, shrink, last)
        taught = [r for r in sample if LABEL[r.modality] == "measured" or not p.delta_learning]
        size = BIAS_AMPLITUDE * math.sqrt(count / q)
        extra = [HARMONISED[LABEL[r.modality]] * size * row[:q] for r, row in zip(taught, phi, strict=True)]
        head = Head(np.hstack([phi, np.reshape(extra, (-1, q))]), labels, variances, shrink, last)
        head.mean, head.covariance = head.mean[: count + 1], head.covariance[: count + 1, : count + 1]
        return head

    def diagnose(self, model, panel, sample, scale):
        """A, T and what they are made of."""
        p, (q, m, g, _) = self.p.layers, self.widths
        encoder, b = model.encoder, self.p.trainers.panel
        seen = np.array([self.ambient(i, gauge, noisy=False) * encoder.scale for i, gauge, _ in panel])
        latent = seen @ encoder.directions
        shown = np.array([self.ambient(i, gauge) * encoder.scale for i, gauge, _ in panel]) @ encoder.directions
        captured, invariant = [], []
        turned = (self.signal * self.space.gauge_amplitude) ** 2 * (
            (encoder.scale[q + m : q + m + g, None] * encoder.directions[q + m : q + m + g]) ** 2
        ).sum()
        for k in range(self.K):
            x, z = seen[k * b : (k + 1) * b], latent[k * b : (k + 1) * b]
            x = x - x.mean(axis=0)
            lost = (x - x @ encoder.directions @ encoder.directions.T)[:, : q + m]
            varies = (x[:, : q + m] ** 2).sum()
            captured.append(min(max(1 - (lost**2).sum() / varies, 0.0), 1.0) if varies > 0 else 0.0)
            spread = z.var(axis=0).sum()
            invariant.append(min(max(1 - turned / spread, 0.0), 1.0) if spread > 0 else 1.0)
        kept = [c * i for c, i in zip(captured, invariant, strict=True)]
        error, variance = self.panel_error(model)
        u1 = 1 - explained(seen[:, q : q + m], shown) if m else 0.0
        reached = max(0.0, 1 - error / variance) / self.ceiling(len(sample), scale)
        u2 = min(max(1 - reached, 0.0), 1.0)
        loss = p.uncertainty_penalty * (1 - (1 - u1) * (1 - u2))
        shares = np.bincount([r.family for r in sample], minlength=self.K) / len(sample)
        out = {"captured": captured, "invariant": invariant, "u": (u1, u2)}
        for name, mu in (("integrity_true", np.full(self.K, 1 / self.K)), ("integrity_perceived", shares)):
            if p.integrity == "alternative":
                mean = sum(w * r**p.integrity_exponent for w, r in zip(mu, kept, strict=True))
                out[name] = mean ** (1 / p.integrity_exponent) * math.exp(-loss)
            else:
                out[name] = max(0.0, p.integration * sum(w * r for w, r in zip(mu, kept, strict=True)) - loss)
        out["tradeoff"], out["slope"] = self.tradeoff(encoder, u1, scale)
        some = range(0, len(panel), max(1, len(panel) // MOVED))
        first = [model.head.predict(model.panel_phi[n])[0] for n in some]
        second = [model.head.predict(model.features(self.ambient(panel[n][0], panel[n][2])))[0] for n in some]
        strain = np.repeat([STRAIN, 0.0], [q + m, len(encoder.mean) - q - m])
        strained = [model.head.predict(model.features(self.ambient(*panel[n][:2]) + strain))[0] for n in some]
        out["gauge_variance"] = np.mean(np.subtract(second, first) ** 2) / 2
        out["strain_variance"] = np.mean(np.subtract(strained, first) ** 2)
        return out

    def tradeoff(self, encoder, loss, scale):
        """T and its slope in p."""
        p = self.p.layers
        i = encoder.invariance if self.space.dims["gauge"] else 1.0
        eta, theta = p.scale_benefit, p.risk_weight
        if p.tradeoff == "alternative":
            return -(eta * scale / (p.invariance_half + i) + theta * loss), -eta / (p.invariance_half + i)
        value = eta * i * math.log(1 + scale) - theta * (1 - i) * scale * loss
        return value, eta * i / (1 + scale) - theta * (1 - i) * loss

    def measured_tradeoff(self, t, model, panel, working, scale):
        error, variance = self.panel_error(model)
        reference = error
        if scale != 1:
            sample, old = self.sample(working, 1.0), model.encoder
            own = [r for r in sample if r.property == model.property]
            corpus = self.corpus(t, own if self.p.trainers.corpus == "own" else sample)
            encoder = self.own_encoder(old.objective, old.lineage, old.invariance, corpus, 1.0, t.models)
            reference, _ = self.panel_error(self.train(encoder, model.property, own, 1.0, panel))
        turned = self.p.layers.gauge_penalty * model.diagnosis["gauge_variance"]
        return (reference - error - turned) / variance

    def ceiling(self, records, scale):
        """R^2 that a head of the same power reaches on ideal input, for the first property."""
        size = 2 ** round(math.log2(max(2, records)))
        count, values = self.feature_count(scale, size), self.property[0]
        noise = self.p.modalities.measured_noise
        if (size, count, noise) not in self.ceilings:
            u = self.lines("uniform", "ceiling.sample", size, 0)
            z = self.lines("normal", "ceiling.noise", size, 0)
            order = np.argsort(self.space.material_keys)
            drawn = [int(order[math.floor(n * self.N)]) for n in u]
            sd = [noise * float(self.space.difficulty[i]) for i in drawn]
            labels = np.array([float(values[i]) + s * a for i, s, a in zip(drawn, sd, z, strict=True)])
            rows = [self.ambient(i, noisy=False) for i in drawn]
            causal = self.widths[0] + self.widths[1]
            columns = self.by_column({"quantum": 1.0, "meso": 1.0, "gauge": 0.0, "spurious": 0.0}, 0.0)
            whole = fit_encoder("masked", causal, columns, (rows, rows), [columns] * size, [], None, 0.0, -1, 1.0)
            length, p = self.p.trainers.length_scale, self.p.trainers
            if p.width == "evidence" and p.head == "bayesian":
                if -1 not in self.kernel_widths:
                    self.kernel_widths[-1] = self.likeliest(whole, rows, labels, np.full(size, noise**2))
                length *= self.kernel_widths[-1]
            features = Features(self.streams, whole, count, length)
            head = Head(np.array([features(x) for x in rows]), labels, np.full(size, noise**2))
            judged = [i for i, _, _ in self.draw_panel(0)]
            y = values[judged].astype(float)
            predicted = [head.predict(features(self.ambient(i, noisy=False)))[0] for i in judged]
            self.ceilings[size, count, noise] = max(0.05, 1 - np.mean((predicted - y) ** 2) / max(y.var(), 1e-9))
        return self.ceilings[size, count, noise]

    # ------------------------------------------------------------------ 7.11 to 7.13 planners

    def steer(self):
        self.adopt()
        self.adapt()
        self.experiment()

    def adopt(self):
        p = self.p.planners
        served, n = ([of(t) for t in range(self.T)] for of in (self.staying, self.adopters))
        review = self.lines("uniform", "planner.reconsider", (len(self.planners), 1))
        clocks = self.lines("exponential", "planner.adopt", (len(self.planners), len(self.trainers)))
        links = self.p.infrastructure.providers
        newcomers = [q for q in self.planners if q.models[0] is None and served[q.property]]
        waiting = newcomers[p.entry :] if p.entry > 0 else []
        for q in self.planners:
            options, popular = served[q.property], n[q.property]
            if q in waiting or not options:
                continue
            before = [m for m in q.models if m is not None]
            has = [m for m in before if not self.ends(m)]
            if review[q.slot, 0] < p.adoption_rate:
                kept = []
            elif q.models[0] is None or has != before or (len(has) < links and len(options) > len(has)):
                kept = has
            else:
                continue
            if p.adoption == "utility":
                taste, utility = self.utility(q, popular)
                best = sorted(options, key=lambda m: (-utility[m], m != taste))
                q.models = (best + [None] * links)[:links]
            else:
                q.models = choose_links(kept, clocks[q.slot], self.adoption_weights(q, options, popular), links)
            self.learn_to_use(q, before)

    def utility(self, q, n):
        p = self.p.planners
        types = max(1, len(p.utility_gaps))
        kind = math.floor(self.lines("uniform", "planner.type", len(self.planners), 0)[q.slot] * types)
        gap = p.utility_gaps[kind] if p.utility_gaps else 0.0
        return kind, [
            round(((gap if m == kind else 0.0) + p.utility_returns * n[m]) * self.foresight(q, m), 9)
            for m in range(len(self.trainers))
        ]

    def adoption_weights(self, q, served, n):
        p, friends = self.p.planners, q.collaborators

        def record(who, m):
            return who.hits.get(m, 0.0), who.misses.get(m, 0.0)

        trust = [0.0] * len(self.trainers)
        for m in served:
            hits, misses = record(q, m)
            for friend in (r for r in friends if r.property == q.property):
                hits += record(friend, m)[0] / len(friends)
                misses += record(friend, m)[1] / len(friends)
            trust[m] = ((1 + hits) / (2 + hits + misses)) ** p.selectivity
        popular = [n[m] + 1 if m in served else 0 for m in range(len(self.trainers))]
        mixed = [
            (1 - p.social) * t / sum(trust) + p.social * a / sum(popular) for t, a in zip(trust, popular, strict=True)
        ]
        return [
            w * self.trust_in(q.property, m) * self.foresight(q, m) if m in served else 0.0 for m, w in enumerate(mixed)
        ]

    def trust_in(self, number, m):
        """Weight of a served model by the A that it is seen to have."""
        a = self.trainers[m].models[number].diagnosis["integrity_perceived"]
        return max(a, 0.05) ** self.p.coupling.integrity_weight

    def best_known(self, number):
        return max([q.best_value for q in self.planners if q.property == number] + [0.0])

    def log_weights(self, number, m, adapter=None):
        """Log-weight of each family by a served model, as a lab with an adapter sees it."""
        p, model = self.p, self.trainers[m].models[number]
        rule = p.planners.acquisition
        rule = "ucb" if rule in ("random", "thompson", "ranking") else rule
        mean, variance = model.panel_predictions()
        if adapter is not None:
            mean = mean + [
                adapter.shift(phi, self.family_of[i]) for i, phi in zip(model.panel, model.panel_phi, strict=True)
            ]
        if rule == "integrated_variance":
            values = model.channelled_falls(model.panel, model.panel_phi)
        else:
            values = score(rule, mean, model.channelled(variance), self.best_known(number), p.planners.kappa)
        families = values.reshape(self.K, -1).mean(axis=1)
        known = [k for k in range(self.K) if k in self.revealed]
        sd = families[known].std()
        z = np.clip((families - families[known].mean()) / (sd if sd >= 1e-12 else 1.0), -CLIP, CLIP)
        return p.planners.steering_gain * self.steering(model) * z

    def steering(self, model):
        """S as planners see it."""
        p, c = self.p.layers, self.p.coupling.correction
        c = c if p.feedback_correction < 0 else p.feedback_correction
        o = 0.0
        if model.errors:
            o = min(max(1 - float(np.median(model.errors)) / self.mad[model.property], 0.0), 1.0)
        theta = 1 / (1 + math.exp(-min(max(model.tradeoff / p.tradeoff_scale, -50.0), 50.0)))
        w = p.feedback_weight
        if p.steering == "alternative":
            return min(max(o * c, 0.0), 1.0) ** w * theta ** (1 - w)
        return w * max(0.0, 1 - (1 - o) * abs(1 - c)) + (1 - w) * theta

    def experiment(self):
        p, x = self.p.planners, self.counts()
        eps = max(p.exploration, p.exploration_floor)
        families = [range(int(self.space.start[k]), int(self.space.start[k + 1])) for k in range(self.K)]
        all_untested = [[[i for i in rows if (t, i) not in self.tested] for rows in families] for t in range(self.T)]
        weights = {}
        for q in self.planners:
            if not q.budget:
                continue
            m, untested, best = self.model_of(q), all_untested[q.property], self.best_known(q.property)
            seen = (q.property, m, None if q.adapter is None else q.slot)
            if m is not None and seen not in weights:
                weights[seen] = self.log_weights(q.property, m, q.adapter)
            steering = weights.get(seen)
            f = self.attention_to_families(x, eps, p.reinforcement, p.adjacency, steering)
            if not p.repeats:
                f = [a if untested[k] else 0.0 for k, a in enumerate(f)]
            afford = 1
            made = 0
            for j in range(q.budget):
                k = self.choose_family("planner", self.planners, q.slot, j, f, p.adjacency)
                if k is None:
                    continue
                made += 1
                candidates = self.propose(q, j, k, untested[k], self.is_common(q, j, m))
                compared = 1 if p.acquisition == "random" and p.proxy == 0 else min(p.candidates, len(candidates))
                afford = math.floor(min(max(q.attention / (max(q.budget, 1) * self.cost(m)), 1), compared))
                if p.source == "mixture" and m is not None:
                    everyone = range(int(self.space.start[k]), int(self.space.start[k + 1]))
                    candidates[:afford] = self.imagine(q, j, m, everyone if p.repeats else untested[k], afford)
                elif p.source not in ("uniform", "mixture"):
                    candidates = self.realise(q, j, m, candidates, afford)
                self.results.append(self.choose(q, j, k, m, candidates[:compared], afford, best))
            q.judged = min(q.attention, afford * made * self.cost(m))
        for r in self.results:
            self.reveal(r.family)
            self.measure(r)

    def cost(self, m):
        """What a model scores to show one candidate."""
        p = self.p.planners
        if m is not None and p.source == "mixture" and p.tilt > 0:
            return 1 + p.proposals
        return REACH if m is not None and p.source == "inverse" and p.attention_cost == "scored" else 1

    def imagine(self, q, j, m, materials, count):
        """Materials nearest to draws from a model's mixture."""
        p, model = self.p.planners, self.trainers[m].models[q.property]
        encoder = model.encoder
        if model.mixture is None:
            u = self.lines("uniform", "model.mixture", (len(self.trainers), p.mixture_components), model.trained)[m]
            model.mixture = Mixture([encoder.latent(self.ambient(i)) for i in model.sample], u)
        points = [encoder.latent(self.ambient(i)) for i in materials]
        out = []
        for c in range(count):
            best, place = -math.inf, None
            for i in range(p.proposals if p.tilt > 0 else 1):
                key = record_key(2, q.slot, self.tick, j) ^ splitmix(c * p.proposals + i)
                u = self.of_record("planner.mixture.component", key, self.tick)
                keys = np.array([key], np.uint64)
                normals = self.streams.record_normal("planner.mixture.normal", keys, encoder.k, self.tick)[0]
                z = model.mixture.draw(u, normals.astype(float))
                value = 0.0
                if p.tilt > 0:
                    predicted = model.head.predict(model.features(encoder.row(z)))[0] - model.head.offset
                    u = self.of_record("planner.mixture.tilt", key, self.tick)
                    value = p.tilt * predicted - math.log(-math.log(u))
                if value > best:
                    best, place = value, z
            out.append(nearest(place, points, materials)[0])
        return out

    def is_common(self, q, j, m):
        """Whether an experiment looks at the set that all labs of a family look at."""
        ranked = m is not None and self.p.planners.acquisition != "random"
        u = self.of_record("planner.common", record_key(2, q.slot, self.tick, j))
        return ranked and u < self.p.planners.common_candidates

    def propose(self, q, j, k, untested, common):
        p, shared = self.p.planners, record_key(5, int(self.space.family_keys[k]), self.tick, j)

        def draw(attempt):
            """Uniform numbers of an attempt, one for each candidate."""
            if common:
                lanes = [(splitmix(shared) + c) % 2**64 for c in range(width)]
                return [self.of_record(f"planner.common.{attempt}", lane) for lane in lanes]
            return self.lines("uniform", f"planner.candidate.{attempt}.{j}", shape)[q.slot]

        first, size = int(self.space.start[k]), self.size[k]
        wanted = p.candidates * (1 if p.source in ("uniform", "mixture") else REACH)
        width = wanted if p.repeats else min(wanted, max(self.size))
        shape = (len(self.planners), width)
        if p.repeats:
            return [first + math.floor(n * size) for n in draw(0)]
        if len(untested) <= width:
            own = shared if common else record_key(2, q.slot, self.tick, j)

            def place(i):
                return self.of_record("planner.candidate.order", splitmix(int(self.space.material_keys[i])) ^ own)

            ordered = sorted(untested, key=place)
            return [ordered[c % len(ordered)] for c in range(width)]
        draws = [draw(a) for a in range(ATTEMPTS)]
        return [self.first_untested(q.property, first, size, [u[c] for u in draws]) for c in range(width)]

    def first_untested(self, number, first, size, numbers):
        for u in numbers:
            row = first + math.floor(u * size)
            if (number, row) not in self.tested:
                return row
        while (number, row) in self.tested:
            row = first + (row - first + 1) % size
        return row

    def realise(self, q, j, m, pool, afford):
        """Candidates out of a pool, by the source of proposals."""
        p = self.p.planners
        count = min(p.candidates, len(pool))
        model = None if m is None else self.trainers[m].models[q.property]
        if model is not None and p.source == "inverse" and p.attention_cost == "scored":
            seen = pool[: afford * REACH]
            points = [self.image(model, self.ambient(i)) for i in seen]
            near = nearest(self.image(model, self.ascend(model, seen)), points, seen)[:count]
            return near + pool[len(near) : count]
        points = [self.image(model, self.ambient(i)) for i in pool]
        if p.source == "neighbourhood" or model is None:
            if q.best_material < 0:
                return pool[:count]
            return nearest(self.image(model, self.ambient(q.best_material)), points, pool)[:count]
        if p.source == "inverse":
            return nearest(self.image(model, self.ascend(model, pool)), points, pool)[:count]
        mean, sd = np.mean(points, axis=0), np.std(points, axis=0)
        shape = (len(self.planners), count, model.encoder.k)
        draws = self.lines("normal", f"planner.generate.{j}", shape)[q.slot]
        return [nearest(mean + sd * z, points, pool)[0] for z in draws]

    def image(self, model, x):
        """Where distances are taken: latent space, or causal columns without a model."""
        if model is not None:
            return model.encoder.latent(x)
        return x if self.observed else x[: self.widths[0] + self.widths[1]]

    def ascend(self, model, pool):
        """A model's optimum by gradient steps from the best predicted member of a pool."""
        rows = [self.ambient(i) for i in pool]
        predicted = [model.head.predict(model.features(x))[0] for x in rows]
        x, step = rows[int(np.argmax(predicted))], 0.1 * np.std(rows, axis=0).mean()
        for _ in range(ASCENT_STEPS):
            gradient = model.features.slope(x, model.head.mean)
            x = x + step * gradient / max(np.linalg.norm(gradient), 1e-12)
        return x

    def choose(self, q, j, k, m, candidates, afford, best):
        """The candidate of largest score, as an experiment."""
        p, rule = self.p.planners, self.p.planners.acquisition
        if m is None:
            mean, variance, phis = np.zeros(len(candidates)), np.ones(len(candidates)), [None] * len(candidates)
            scores, shifts = -np.arange(len(candidates), dtype=float), np.zeros(len(candidates))
        else:
            model = self.trainers[m].models[q.property]
            shape = (len(self.planners), len(candidates), self.view_numbers)
            stream = self.streams.generator(f"planner.gauge.{j}", self.tick)
            gauges = stream.standard_normal(shape, dtype=np.float32)[q.slot]
            rows = [self.ambient(i, g) for i, g in zip(candidates, gauges, strict=True)]
            phis = [model.features(x) for x in rows]
            pairs = [model.predict(i, phi) for i, phi in zip(candidates, phis, strict=True)]
            mean, variance = np.array([a for a, _ in pairs]), np.array([b for _, b in pairs])
            shifts = np.array([0.0 if q.adapter is None else q.adapter.shift(phi, k) for phi in phis])
            mean = mean + shifts
            if rule == "random":
                scores = -np.arange(len(candidates), dtype=float)
            elif rule == "integrated_variance":
                scores = model.channelled_falls(candidates, phis)
            elif rule == "thompson":
                scores = self.posterior_sample(q, j, model, mean, phis)
            else:
                scores = score(rule, mean, model.channelled(variance), best, p.kappa)
            if p.feasibility_weight > 0 and model.feasibility is not None and rule != "random":
                line = int(self.space.family_keys[k])
                shown = [model.feasibility_features.first(x, FEATURES_OF_FEASIBILITY) for x in rows]
                chance = np.array([model.feasibility.chance(phi, line) for phi in shown])
                scores = scores.min() + (scores - scores.min()) * chance**p.feasibility_weight
        if p.proxy > 0:
            proxy = self.proxy[q.property][candidates].astype(float)
            scores = (1 - p.proxy) * standardised(scores) + p.proxy * standardised(proxy)
        c = int(np.argmax(scores[:afford]))
        return Experiment(q, j, k, candidates[c], m, mean[c], variance[c], phis[c], shifts[c])

    def posterior_sample(self, q, j, model, mean, phis):
        phi = np.array(phis)
        covariance = phi @ model.head.covariance @ phi.T / self.p.trainers.overconfidence**2
        covariance += 1e-4 * max(np.diag(covariance).mean(), 1e-3) * np.eye(len(mean))
        u = self.lines("uniform", f"planner.thompson.{j}", (len(self.planners), len(mean)))[q.slot]
        return mean + np.linalg.cholesky(covariance) @ ndtri(np.clip(u, 1e-9, 1 - 1e-9))

    # ------------------------------------------------------------------ 7.14 results

    def measure(self, r):
        p, q = self.p, r.planner
        u = self.lines("uniform", f"planner.experiment.{r.wave}", (len(self.planners), 2))[q.slot]
        r.made = bool(self.space.feasible[r.material])
        sd = p.modalities.measured_noise * float(self.space.difficulty[r.material])
        r.variance = self.claimed(r.material)
        if r.made:
            r.value = float(self.property[q.property][r.material]) + sd * quantile(u[0])
        good = r.made and r.value > p.planners.publication_threshold
        r.published = bool(good or u[1] >= p.planners.publication_bias)

    def claimed(self, material):
        """Variance that is claimed for an experiment."""
        return max((self.p.modalities.measured_noise * float(self.space.difficulty[material])) ** 2, 1e-6)

    def couple(self):
        p = self.p
        for q in self.planners:
            q.claims *= p.planners.memory
            q.hits = {m: h * p.planners.memory for m, h in q.hits.items()}
            q.misses = {m: h * p.planners.memory for m, h in q.misses.items()}
        for r in self.results:
            self.keep_track(r)
            self.keep_result(r)
        for r in self.results:
            if r.published:
                number = r.planner.property
                self.tested |= {(t, r.material) for t in ([number] if r.made else range(self.T))}
                if r.made:
                    if (number, r.material) not in self.found:
                        self.by_planners.add((number, r.material))
                    self.note_found(number, r.material)
                self.deposit(r)
        for number, m in sorted({(r.planner.property, r.model) for r in self.results if r.model is not None}):
            self.correct(number, m)

    def keep_track(self, r):
        q = r.planner
        if not r.made:
            return
        if r.model is not None:
            claimed = max(r.claimed, 1e-8) / self.p.trainers.overconfidence**2
            hit = abs(r.value - r.predicted) <= INTERVAL * math.sqrt(claimed + r.variance)
            record = q.hits if hit else q.misses
            record[r.model] = record.get(r.model, 0.0) + 1
        if r.published and r.value > self.p.planners.publication_threshold:
            first = self.published_before(r) is None and r is min(self.finders(r), key=self.lot)
            q.claims += 1 if first else 1 - self.p.planners.priority
        if r.value > q.best_value:
            q.best_value, q.best_material = r.value, r.material

    def published_before(self, r):
        pair = r.planner.property, r.material
        return pair if pair in self.tested else None

    def finders(self, r):
        """Experiments of this tick that claim the same."""
        return [
            other
            for other in self.results
            if (other.planner.property, other.material) == (r.planner.property, r.material)
            and other.made
            and other.value > self.p.planners.publication_threshold
        ]

    def lot(self, r):
        return self.of_record("planner.first", record_key(2, r.planner.slot, self.tick, r.wave))

    def deposit(self, r):
        q, p = r.planner, self.p
        u = self.lines("uniform", f"planner.deposit.{r.wave}", (len(self.planners), 1))[q.slot, 0]
        if not u < p.coupling.outer_loop or not self.any_repository:
            return
        repository = q.home
        if self.repositories[repository].down:
            clocks = self.lines("exponential", "planner.refuge", (len(self.planners), self.R))
            repository = race(clocks[q.slot], [0.0 if n.down else 1.0 for n in self.repositories])
        key = record_key(2, q.slot, self.tick, r.wave)
        federated = self.of_record("planner.federated", key) < p.infrastructure.openness
        origin = EXPERIMENT if r.made else FAILED
        self.enter(
            Record(
                key=key,
                material=r.material,
                property=q.property,
                family=r.family,
                modality=SPECTROSCOPY,
                value=r.value,
                variance=r.variance,
                origin=origin,
                repository=repository,
                producer=q.slot,
                tick=self.tick,
                federated=federated,
            )
        )

    def correct(self, number, m):
        model, c = self.trainers[m].models[number], self.p.coupling.correction
        told = [r for r in self.results if (r.planner.property, r.model) == (number, m) and r.made and r.published]
        if not told:
            return
        model.errors = (model.errors + [abs(r.predicted - r.shift - r.value) for r in told])[-RECENT:]
        if c > 0:
            residuals = np.array([r.value - (r.predicted - r.shift) for r in told])
            variances = np.array([r.variance + model.head.noise for r in told])
            model.head.tune(np.array([r.phi for r in told]), residuals, variances, c)


def nearest(target, points, pool):
    """Members of a pool by distance of their points to a target, the first on ties."""
    order = sorted(range(len(pool)), key=lambda c: float(((points[c] - target) ** 2).sum()))
    return [pool[c] for c in order]


def standardised(values):
    """Return values less their mean, in units of their sd."""
    sd = values.std()
    return (values - values.mean()) / (sd if sd > 0 else 1.0)


def splitmix(x):
    """One round of splitmix64 on a Python number."""
    mask = 2**64 - 1
    z = (x + 0x9E3779B97F4A7C15) & mask
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & mask
    z = (z ^ z >> 27) * 0x94D049BB133111EB & mask
    return z ^ z >> 31
