"""The synthetic space read a second time, from element 7.2 of ``docs/odd.md`` alone."""

from __future__ import annotations

import math

import numpy as np

S_QUANTUM, S_SCATTER, S_CENTRE, FAMILY_LENGTH, MESO_LENGTH, FIELD_FEATURES = 1.6, 0.1, 0.6, 1.0, 2.0, 192

GRIDS = 64


def std(x):
    """Return values in standard deviations."""
    sd = x.std()
    return (x - x.mean()) / (sd if sd > 0 else 1.0)


def numbered(decision, number):
    """Name of a draw that each of several properties has; the first has it without a number."""
    return decision if number == 0 else f"{decision}.{number}"


def field(streams, decision, rows, length):
    """Value of a random field over rows."""
    draw = streams.generator(decision, 0)
    frequencies = draw.standard_normal((rows.shape[1], FIELD_FEATURES)) / length
    phases = 2 * np.pi * draw.random(FIELD_FEATURES)
    weights = draw.standard_normal(FIELD_FEATURES) * math.sqrt(2 / FIELD_FEATURES)
    return np.cos(rows @ frequencies + phases) @ weights


def binned(streams, decision, rows, length):
    """Value of a binned field over rows."""
    draw, d = streams.generator(decision, 0), rows.shape[1]
    pitch = draw.standard_gamma(2.0, (GRIDS, d)) * 2 * length * math.sqrt(2 * d / math.pi)
    shift = draw.random((GRIDS, d)) * pitch
    lanes = draw.integers(2**63, size=(GRIDS, d), dtype=np.uint64)
    salts = draw.integers(2**63, size=GRIDS, dtype=np.uint64)
    values = []
    for x in rows:
        value = 0.0
        for g in range(GRIDS):
            cells = [math.floor((x[j] + shift[g, j]) / pitch[g, j]) for j in range(d)]
            number = int(salts[g]) + sum(cell * (2 * int(lanes[g, j]) + 1) for j, cell in enumerate(cells))
            value += float(streams.record_normal("space.cell", np.array([number % 2**64], np.uint64), 1, 0)[0, 0])
        values.append(value / math.sqrt(GRIDS))
    return np.array(values)


def family_sizes(materials, families, exponent):
    """One material each, the others by largest remainder."""
    weights = [(k + 1) ** -exponent for k in range(families)]
    quotas = [(materials - families) * w / sum(weights) for w in weights]
    sizes = [1 + math.floor(q) for q in quotas]
    order = sorted(range(families), key=lambda k: -(quotas[k] - math.floor(quotas[k])))
    for k in order[: materials - sum(sizes)]:
        sizes[k] += 1
    return sizes


def read_space(p, streams):
    """Make the arrays of a space from ``Parameters.space``, as a dictionary."""
    K, N, dq, dm, rank = p.families, p.materials, p.quantum_dims, p.meso_dims, p.chemistry_rank
    sizes = family_sizes(N, K, p.family_exponent)
    start = [sum(sizes[:k]) for k in range(K + 1)]
    family = [k for k in range(K) for _ in range(sizes[k])]

    position = streams.normal("space.family.position", 0, (K, 2))
    affinity = np.array(
        [
            [math.exp(-((position[j] - position[k]) ** 2).sum() / (2 * FAMILY_LENGTH**2)) for k in range(K)]
            for j in range(K)
        ]
    )
    factor = np.linalg.cholesky(affinity + 1e-6 * np.eye(K))
    links = np.zeros((K, K))
    for j in range(K):
        near = sorted((k for k in range(K) if k != j), key=lambda k: -affinity[j, k])[:5]
        for k in near:
            links[j, k] = links[k, j] = affinity[j, k]
    similarity = np.array([row / row.sum() if row.sum() > 0 else np.eye(K)[j] for j, row in enumerate(links)])

    centre = S_CENTRE * streams.normal("space.family.centre", 0, (K, dq))
    shared = streams.normal("space.family.shared", 0, (dq, rank))
    own = (factor @ streams.normal("space.family.own", 0, (K, dq * rank))).reshape(K, dq, rank)
    z, scatter = streams.normal("space.z", 0, (N, rank)), streams.normal("space.scatter", 0, (N, dq))
    s = p.shared_chemistry
    chemistry = [np.linalg.qr(math.sqrt(s) * shared + math.sqrt(1 - s) * own[k])[0] for k in range(K)]
    quantum = np.array(
        [centre[family[i]] + S_QUANTUM * chemistry[family[i]] @ z[i] + S_SCATTER * scatter[i] for i in range(N)]
    )
    meso = streams.normal("space.meso", 0, (N, dm))
    u, jitter = streams.uniform("space.duplicate", 0, (N, 2)), streams.normal("space.duplicate.jitter", 0, (N, 2))
    copied = list(range(N))
    for k in range(K):
        rows = range(start[k], start[k + 1])
        originals = [i for i in rows if u[i, 0] >= p.near_duplicates] or [rows[0]]
        for i in rows:
            if i not in originals:
                other = originals[math.floor(u[i, 1] * len(originals))]
                copied[i] = other
                quantum[i] = quantum[other] + 0.02 * jitter[i, 0]
                meso[i] = meso[other] + 0.02 * jitter[i, 1]

    kind = binned if p.field == "binned" else field
    single = quantum.astype(np.float32).astype(float)
    joined = np.hstack([quantum / p.ruggedness, meso / MESO_LENGTH])
    jump = p.phase_jump * (field(streams, "space.phase", quantum, p.ruggedness) > 0) if p.phase_jump > 0 else 0.0
    fields = [
        std(kind(streams, numbered("space.property.quantum", j), single, p.ruggedness))
        for j in range(p.factors if p.properties > 1 else 1)
    ]
    properties, simulations = [], []
    for t in range(p.properties):
        smooth = fields[0]
        if p.properties > 1:
            common = streams.normal("space.relatedness.common", 0, p.factors)
            own_mixture = streams.normal("space.relatedness.own", 0, (p.properties, p.factors))[t]
            rho = p.relatedness
            weights = [math.sqrt(rho) * a + math.sqrt(1 - rho) * b for a, b in zip(common, own_mixture, strict=True)]
            smooth = std(sum(w * f for w, f in zip(weights, fields, strict=True)))
        cross = std(kind(streams, numbered("space.property.cross", t), joined, 1.0))
        seen = math.sqrt(1 - p.cross_scale) * smooth + jump
        value = seen + math.sqrt(p.cross_scale) * cross
        properties.append((value - value.mean()) / value.std())

        between = factor @ streams.normal(numbered("space.bias.family", t), 0, K)
        between = std(between) if K > 1 else np.zeros(1)
        smooth = field(streams, numbered("space.bias.smooth", t), quantum, p.bias_length)
        for k in range(K):
            smooth[start[k] : start[k + 1]] -= smooth[start[k] : start[k + 1]].mean()
        noise = streams.normal(numbered("space.bias.scatter", t), 0, N)
        bias = p.bias_offset + p.bias_sd * (
            math.sqrt(p.bias_family) * between[family]
            + math.sqrt(p.bias_smooth) * std(smooth)
            + math.sqrt(p.bias_scatter) * noise
        )
        simulations.append((seen - seen.mean()) / value.std() + bias)

    largest = sorted(range(K), key=lambda k: -sizes[k])[: max(1, round(p.dense_share * K))]
    other = [math.floor(n * N) for n in streams.uniform("space.spurious.other", 0, N)]
    rest = streams.normal("space.spurious.noise", 0, (N, p.spurious_dims))
    rho, spurious = p.spurious_correlation, np.empty((N, p.spurious_dims))
    for i in range(N):
        for j in range(p.spurious_dims):
            followed = properties[j % p.properties][i if family[i] in largest else other[i]]
            spurious[i, j] = p.spurious_amplitude * (rho * followed + math.sqrt(1 - rho**2) * rest[i, j])

    difficulty = np.exp(p.difficulty * std(field(streams, "space.difficulty", quantum, p.ruggedness / 2)))
    rest, v = streams.normal("space.feasible.scatter", 0, N), p.feasible_scatter
    made = math.sqrt(1 - v) * std(field(streams, "space.feasible", quantum, p.ruggedness)) + math.sqrt(v) * rest
    feasible = made >= np.quantile(made, 1 - p.feasible)
    proxies, top = [], []
    for t, prop in enumerate(properties):
        proxy = field(streams, numbered("space.proxy", t), quantum, p.ruggedness)
        proxies.append(std(proxy - (proxy @ prop) / (prop @ prop) * prop))
        options = sorted(np.flatnonzero(feasible).tolist(), key=lambda i, prop=prop: (-prop[i], i))
        top.append(np.isin(np.arange(N), options[: max(1, round(p.top_share * len(options)))]))
    return {
        "descriptors": np.hstack([quantum, meso, spurious]),
        "start": start,
        "property": np.concatenate(properties),
        "simulated": np.concatenate(simulations),
        "difficulty": difficulty,
        "feasible": feasible,
        "proxy": np.concatenate(proxies),
        "similarity": similarity,
        "top": np.concatenate(top),
        "dense": [k in largest for k in range(K)],
        "family_keys": range(K),
        "material_keys": range(N),
        "noise_keys": copied,
        "gauge_amplitude": p.gauge_amplitude,
    }
