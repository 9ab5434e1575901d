"""Encoder, random features and head of the second reading: one vector at a time, float64 (ODD 7.8 to 7.10)."""

from __future__ import annotations

import math

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_ndtr, ndtr

RIDGE, FLAT, EVIDENCE_STEPS, LEAST, MATERN = 0.001, 1e-6, 2, 8, 5
RIDGE_OF_MIXTURES, EM_STEPS = 1e-6, 20
MIN_NOISE, MAX_NOISE, MIN_PRIOR, MAX_PRIOR = 1e-4, 4.0, 0.01, 1e4


def outer_mean(left, right):
    """Mean over records of the outer products of two lists of vectors."""
    total = np.zeros((len(left[0]), len(right[0])))
    for a, b in zip(left, right, strict=True):
        total += np.outer(a, b)
    return total / len(left)


def leading(moment, k):
    """Return the k leading eigenvectors that the data span, as columns."""
    values, vectors = np.linalg.eigh((moment + moment.T) / 2)
    kept = [i for i in np.argsort(-values)[:k] if values[i] > FLAT * values.max()] or [np.argmax(values)]
    columns = [vectors[:, i] if vectors[np.argmax(np.abs(vectors[:, i])), i] > 0 else -vectors[:, i] for i in kept]
    return np.array(columns).T


def inverse_root(moment):
    """(S + .01 lambda_max I)^(-1/2) and its inverse."""
    values, vectors = np.linalg.eigh(moment)
    values = np.maximum(values, 0.0) + 0.01 * max(values[-1], 1e-12)
    return (vectors / np.sqrt(values)) @ vectors.T, (vectors * np.sqrt(values)) @ vectors.T


def correlated(first, second):
    """B B' of the canonical correlation of two views."""
    whiten_first, undo = inverse_root(outer_mean(first, first))
    whiten_second, _ = inverse_root(outer_mean(second, second))
    u, d, _ = np.linalg.svd(whiten_first @ outer_mean(first, second) @ whiten_second)
    b = undo @ u @ np.diag(d)
    return b @ b.T


class Encoder:
    """What an encoder keeps: directions, spreads, exposure, mean, input scale."""

    def __init__(self, lineage, objective, invariance, directions, mean, scale, exposure, rows):
        self.lineage, self.objective, self.invariance = lineage, objective, invariance
        self.directions, self.mean, self.scale, self.exposure = directions, mean, scale, exposure
        along = np.array([(x - mean) * scale @ directions for x in rows])
        sd = along.std(axis=0)
        self.spread = np.sqrt(sd**2 + (RIDGE * max(sd.max(), 1e-6)) ** 2)

    @property
    def k(self):
        return self.directions.shape[1]

    def latent(self, x):
        """Latent coordinates of an ambient vector."""
        return (x - self.mean) * self.scale @ self.directions / self.spread

    def row(self, z):
        """Ambient vector of some latent coordinates, nearest to the mean."""
        kept = (self.scale[:, None] * self.directions / self.spread).T
        return self.mean + np.linalg.pinv(kept) @ z

    def project(self, x):
        """M x, the projected ambient vector on which features act."""
        return self.exposure * (self.directions @ ((self.directions.T @ (self.scale * x)) / self.spread))


def weigh_spikes(moment, directions, columns, distinct):
    """Directions that rise above the noise of a spiked covariance, and their weights."""
    c, kept = columns / distinct, list(range(directions.shape[1]))
    raised = [directions[:, j] @ moment @ directions[:, j] for j in kept]
    while True:
        noise = (np.trace(moment) - sum(raised[j] for j in kept)) / max(1, columns - len(kept))
        left = [j for j in kept if raised[j] / noise > (1 + math.sqrt(c)) ** 2]
        if left == kept:
            break
        kept = left
    weights = []
    for j in kept:
        # The larger root of s = (1 + l)(1 + c / l).
        s = raised[j] / noise
        l = max(np.roots([1.0, 1.0 + c - s, c]).real)
        o = (1 - c / l**2) / (1 + c / l)
        weights.append(l * o / (1 + l * o))
    if not kept:
        kept, weights = [int(np.argmax(raised))], [1.0]
    size = math.sqrt(np.mean([w**2 * raised[j] for w, j in zip(weights, kept, strict=True)]))
    return directions[:, kept], np.array(weights) / size


def fit_encoder(
    objective,
    k,
    scale,
    views,
    gains,
    other_gains,
    smoothed,
    fusion_weight,
    lineage,
    invariance,
    distinct=None,
    lesson=((), 0.0),
):
    """Fit an encoder to records.

    Parameters
    ----------
    views : pair of lists of vectors
        Ambient vectors of the records in their first and second gauge.
    gains, other_gains : lists of vectors
        Gains by column of each record, in its own modality and averaged over others.
    smoothed : list of vectors or None
        Rows mixed with those of their neighbours (graph only).
    lesson : (list of vectors, float)
        Gradients of the trainer's last model at the rows, and the weight of their moment.
    """
    rows = views[0]
    mean = np.mean(rows, axis=0)
    first = [(x - mean) * scale * g for x, g in zip(rows, gains, strict=True)]
    if objective == "masked":
        moment = outer_mean(first, first)
    elif objective == "graph":
        centre = np.mean(smoothed, axis=0)
        seen = [(x - centre) * scale * g for x, g in zip(smoothed, gains, strict=True)]
        moment = outer_mean(seen, seen)
    else:
        centre = np.mean(views[1], axis=0)
        second = [(x - centre) * scale * g for x, g in zip(views[1], other_gains, strict=True)]
        moment = correlated(first, second)
        if objective == "fusion":
            own = outer_mean(first, first)
            shares = [m / max(np.trace(m), 1e-12) for m in (own, moment)]
            moment = (1 - fusion_weight) * shares[0] + fusion_weight * shares[1]
    gradients, supervised = lesson
    if np.any(gradients):
        taught = outer_mean(gradients, gradients)
        moment = (1 - supervised) * moment / np.trace(moment) + supervised * taught / np.trace(taught)
    exposure = np.sqrt(np.mean([g**2 for g in gains], axis=0))
    if distinct is not None:
        shown = sum(1 for s in scale if s != 0)
        directions, weights = weigh_spikes(outer_mean(first, first), leading(moment, k), shown, distinct)
        encoder = Encoder(lineage, objective, invariance, directions, mean, scale, exposure, rows)
        encoder.spread = 1 / weights
        return encoder
    return Encoder(lineage, objective, invariance, leading(moment, k), mean, scale, exposure, rows)


class Features:
    """Random features on an encoder; ``count`` of 0 leaves the constant alone."""

    def __init__(self, streams, encoder, count, length_scale):
        self.encoder, self.count = encoder, count
        self.length = length_scale * math.sqrt(encoder.k)
        if count:
            d, lineage = len(encoder.mean), encoder.lineage
            normals = streams.normal(f"model.frequencies.{lineage}", 0, (count, d))
            gamma = streams.generator(f"model.spread.{lineage}", 0).standard_gamma(MATERN / 2, count)
            self.omega = normals.T * np.sqrt(MATERN / (2 * gamma))
            self.phase = 2 * np.pi * streams.uniform(f"model.phase.{lineage}", 0, count)

    def __call__(self, x):
        if not self.count:
            return np.ones(1)
        angle = self.encoder.project(x) @ self.omega / self.length + self.phase
        return np.append(math.sqrt(2 / self.count) * np.cos(angle), 1.0)

    def first(self, x, most):
        """At most so many features, as if there were no others."""
        count = min(self.count, most)
        return np.append(self(x)[:count] * math.sqrt(self.count / max(count, 1)), 1.0)

    def slope(self, x, mean):
        """Gradient of the prediction in the ambient vector."""
        if not self.count:
            return np.zeros(len(x))
        angle = self.encoder.project(x) @ self.omega / self.length + self.phase
        by_projected = -math.sqrt(2 / self.count) * self.omega @ (np.sin(angle) * mean[:-1]) / self.length
        e = self.encoder
        return e.scale * (e.directions @ (e.directions.T @ (e.exposure * by_projected) / e.spread))


class Head:
    """Bayesian linear regression with noise and prior by evidence."""

    def __init__(self, phi, labels, variances, shrink=0, last=None):
        n, width = phi.shape
        self.noise, self.prior = (0.3, 1.0) if last is None else (last.noise, last.prior)
        self.mean, self.covariance, self.offset = np.zeros(width), np.eye(width), 0.0
        if not n:
            return
        weight = 1 / (self.noise + variances)
        self.offset = (weight * labels).sum() / weight.sum() * n / (n + shrink)
        steps = EVIDENCE_STEPS if last is None else 1
        for _ in range(steps if n >= LEAST or width == 1 else 0):
            w = self._posterior(phi, labels, variances)
            error = labels - self.offset - phi @ self.mean
            known = 1 + width - self.prior * np.trace(self.covariance)
            free = max(w.sum() - known * (w**2).sum() / w.sum(), 0.05 * w.sum())
            self.noise = float(np.clip(self.noise * (w**2 * error**2).sum() / free, MIN_NOISE, MAX_NOISE))
            size = max(self.mean @ self.mean, 1e-12)
            self.prior = float(np.clip((known - 1) / size, MIN_PRIOR, MAX_PRIOR))
        self._posterior(phi, labels, variances)

    def _posterior(self, phi, labels, variances):
        w = 1 / (self.noise + variances)
        self.covariance = np.linalg.inv(phi.T @ (w[:, None] * phi) + self.prior * np.eye(phi.shape[1]))
        self.mean = self.covariance @ (phi.T @ (w * (labels - self.offset)))
        return w

    def predict(self, phi):
        """Mean and variance (misfit included) for one row of features."""
        return phi @ self.mean + self.offset, max(phi @ self.covariance @ phi, 0.0) + self.noise

    def tune(self, phi, residuals, variances, strength):
        """Correct by new results."""
        gain = self.covariance @ phi.T @ np.linalg.inv(phi @ self.covariance @ phi.T + np.diag(variances))
        self.mean = self.mean + strength * gain @ residuals
        self.covariance = self.covariance - min(1.0, strength) * gain @ phi @ self.covariance


class Feasibility:
    """Probit regression on features, offsets of families and a common mean; scales of the first two by evidence."""

    def __init__(self, phis, families, made, last=None):
        self.families, self.width = sorted(set(families)), len(phis[0])
        x = np.array([self.row(phi, k) for phi, k in zip(phis, families, strict=True)])
        side = np.array([1.0 if good else -1.0 for good in made])
        scale = {"weights": 1.0, "offsets": 1.0} if last is None else dict(last.scale)
        parts = {"weights": slice(0, self.width), "offsets": slice(self.width, -1)}
        for _ in range(EVIDENCE_STEPS + 1 if last is None else 1):
            prior = np.ones(len(x[0]))
            for name, part in parts.items():
                prior[part] = scale[name]
            self._posterior(x, side, prior)
            for name, part in parts.items():
                m, variance = self.mean[part], np.diag(self.covariance)[part]
                known = len(m) - scale[name] * variance.sum()
                scale[name] = float(np.clip(known / max(m @ m, 1e-12), MIN_PRIOR, MAX_PRIOR))
        self.scale, self.between = scale, 1 / scale["offsets"]

    def row(self, phi, family):
        return np.concatenate([phi, [1.0 if family == k else 0.0 for k in self.families], [1.0]])

    def _posterior(self, x, side, prior):
        def misfit(w):
            return -log_ndtr(side * (x @ w)).sum() + (prior * w**2).sum() / 2

        def slopes(w):
            f = side * (x @ w)
            return f, np.exp(-(f**2) / 2 - log_ndtr(f)) / math.sqrt(2 * math.pi)

        def gradient(w):
            return -x.T @ (side * slopes(w)[1]) + prior * w

        def curvature(w):
            f, slope = slopes(w)
            return x.T @ ((slope * (slope + f))[:, None] * x) + np.diag(prior)

        start = np.zeros(len(prior))
        best = minimize(misfit, start, jac=gradient, hess=curvature, method="trust-exact", options={"gtol": 1e-7})
        self.mean, self.covariance = best.x, np.linalg.inv(curvature(best.x))

    def chance(self, phi, family):
        """Chance that one material can be made."""
        x = self.row(phi, family)
        variance = x @ self.covariance @ x + (0.0 if family in self.families else self.between)
        return float(ndtr(x @ self.mean / math.sqrt(1 + variance)))


class Mixture:
    """Gaussians fitted to points by EM; one uniform number for each chooses where it starts."""

    def __init__(self, points, numbers):
        points, numbers = [np.asarray(z, float) for z in points], numbers[: len(points)]
        n, k, count = len(points), len(points[0]), len(numbers)
        centre = np.mean(points, axis=0)
        self.ridge = RIDGE_OF_MIXTURES * max(np.mean([(z - centre) ** 2 for z in points]), RIDGE_OF_MIXTURES)
        self.shared = count * (k + 1) / (n + count * (k + 1))
        centres, far = [], [1.0] * n
        for u in numbers:
            centres.append(points[invert(u, far)])
            far = [min(((z - c) ** 2).sum() for c in centres) + 1e-12 for z in points]
        belongs = np.zeros((n, count))
        for i, z in enumerate(points):
            belongs[i, int(np.argmin([((z - c) ** 2).sum() for c in centres]))] = 1.0
        self.maximise(points, belongs)
        for _ in range(EM_STEPS):
            self.maximise(points, np.array([self.belonging(z) for z in points]))

    def maximise(self, points, belongs):
        weight = [max(sum(belongs[:, j]), 1e-12) for j in range(belongs.shape[1])]
        self.shares = [w / sum(weight) for w in weight]
        self.means, within = [], []
        for j, w in enumerate(weight):
            mean = sum(b * z for b, z in zip(belongs[:, j], points, strict=True)) / w
            self.means.append(mean)
            within.append(sum(b * np.outer(z - mean, z - mean) for b, z in zip(belongs[:, j], points, strict=True)) / w)
        together = sum(s * c for s, c in zip(self.shares, within, strict=True))
        self.covariances = [
            (1 - self.shared) * c + self.shared * together + self.ridge * np.eye(len(c)) for c in within
        ]
        self.inverses = [np.linalg.inv(c) for c in self.covariances]
        self.volumes = [np.linalg.slogdet(c)[1] for c in self.covariances]

    def belonging(self, z):
        logs = [
            math.log(s) - (z - m) @ inverse @ (z - m) / 2 - volume / 2
            for s, m, inverse, volume in zip(self.shares, self.means, self.inverses, self.volumes, strict=True)
        ]
        chances = np.exp(np.array(logs) - max(logs))
        return chances / chances.sum()

    def draw(self, u, normals):
        j = invert(u, self.shares)
        return self.means[j] + np.linalg.cholesky(self.covariances[j]) @ normals


def invert(u, weights):
    """Position chosen by the inverse distribution function."""
    total, so_far = sum(weights), 0.0
    for k, w in enumerate(weights):
        so_far += w
        if u < so_far / total:
            return k
    return len(weights) - 1


def explained(targets, latent):
    """R^2 of a ridge regression of the target columns on latent coordinates."""
    z, y = latent - latent.mean(axis=0), targets - targets.mean(axis=0)
    gram = z.T @ z / len(z)
    ridge = 1e-3 * np.trace(gram) / len(gram) + 1e-12
    rest = y - z @ np.linalg.solve(gram + ridge * np.eye(len(gram)), z.T @ y / len(z))
    total = (y**2).sum()
    return min(max(1 - (rest**2).sum() / total, 0.0), 1.0) if total > 0 else 1.0
