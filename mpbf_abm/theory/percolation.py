"""What theory says about sparse random graphs that lose nodes, pass on failures or depend on each other.

A degree distribution is an array ``p`` of length K + 1 with ``p[k]`` the share of nodes of degree k.
All results hold for graphs that are random but for their degrees, in the limit of many nodes.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq, minimize_scalar
from scipy.special import gammaincc, gammaln, lambertw
from scipy.stats import binom

from mpbf_abm.arrays import Float
from mpbf_abm.errors import refuse

ROUNDING = 1e-9  # 1/phi of a fraction such as 1/49 may lie a rounding error below the whole number


def binomial_degrees(nodes: int, mean: float) -> Float:
    """Return the degree distribution of an Erdos-Renyi graph of finite size.

    Parameters
    ----------
    nodes : int
        At least 2.
    mean : float
        Mean degree, from 0 to nodes - 1.

    Returns
    -------
    float (K + 1,)
        Binomial probabilities, cut where less than 1e-16 is left.
    """
    refuse(
        nodes < 2 or not 0 <= mean <= nodes - 1,
        f"mean degree {mean:g}: must be from 0 to {nodes - 1} in a graph of {nodes} nodes",
    )
    share = mean / (nodes - 1)
    last = int(binom.isf(1e-16, nodes - 1, share)) + 1
    p = np.asarray(binom.pmf(np.arange(min(last, nodes - 1) + 1), nodes - 1, share), np.float64)
    return np.asarray(p / p.sum())


def degree_distribution(p: ArrayLike) -> Float:
    """Return a degree distribution as an array, or raise one clear line."""
    out = np.asarray(p, np.float64)
    refuse(
        out.ndim != 1 or not len(out) or np.any(out < 0) or not math.isclose(out.sum(), 1.0, abs_tol=1e-6),
        "a degree distribution is a list of shares from 0 to 1 that sum to 1",
    )
    return out


def _smallest_fixed_point(f: Callable[[float], float]) -> float:
    """Return the smallest fixed point in [0, 1] of an increasing function with f(0) >= 0 and f(1) = 1, or 1."""
    # A convex generating function crosses the diagonal once below 1, iff it is steeper than 1 there.
    edge = 1.0 - 1e-7
    if f(edge) >= edge:
        return 1.0
    return 0.0 if f(0.0) <= 0.0 else float(brentq(lambda x: f(x) - x, 0.0, edge, xtol=1e-15, rtol=1e-14))


# --------------------------------------------------------------------------- removal of nodes


def giant_share_er_finite(nodes: int, c: float) -> float:
    """Return the mean giant component of an Erdos-Renyi graph of finite size, up to O(1/N^2), well above the threshold.

    Parameters
    ----------
    nodes : int
        N.
    c : float
        Mean degree; (c - 1)^3 N must be well above 1, or small components reach the giant's size.

    Notes
    -----
    The chance that some k nodes form a component is C(N, k) C_k (1 - p)^{k (N - k)}. The chance C_k
    that they are connected is (1 - y/(e^y - 1)) (1 - e^-y)^k (1 + O(1/k)) with y = -k ln(1 - p)
    (Stepanov 1970). Above half its expected size at most one component exists.
    """
    share = giant_share_er(c)
    if share == 0 or c >= nodes - 1:
        return share
    k = np.arange(max(2, math.floor(share * nodes / 2)), nodes + 1, dtype=np.float64)
    rate = -math.log1p(-c / (nodes - 1))
    y = rate * k
    log = gammaln(nodes + 1) - gammaln(k + 1) - gammaln(nodes - k + 1) - rate * k * (nodes - k)
    log += np.log1p(-y / np.expm1(y)) + k * np.log(-np.expm1(-y))
    weight = np.exp(log - log.max())
    return float(weight @ k / weight.sum() / nodes)


def giant_share_er(c: float) -> float:
    """Return the giant component of an Erdos-Renyi graph: S = 1 + W(-c exp(-c)) / c, 0 up to c = 1 (Erdos, Renyi 1960).

    Parameters
    ----------
    c : float
        Mean degree, at least 0.
    """
    refuse(c < 0, f"mean degree {c:g}: must be at least 0")
    return float(1.0 + lambertw(-c * math.exp(-c)).real / c) if c > 1 else 0.0


def attack_threshold(p: ArrayLike) -> float:
    """Return the share of nodes whose removal by falling degree leaves no giant component (Callaway et al. 2000).

    Degrees are those of the whole graph. All nodes above degree k* go, and as many of degree k* as
    make ``sum_{k kept} k (k - 1) p_k / <k> = 1``.
    """
    p = degree_distribution(p)
    k = np.arange(len(p))
    mean = float(k @ p)
    parts = k * (k - 1) * p / mean if mean else np.zeros(len(p))
    reached = np.cumsum(parts)
    if reached[-1] <= 1:
        return 0.0
    last = int(np.argmax(reached >= 1))
    kept = 1 - (reached[last] - 1) / parts[last]
    return float(p[last + 1 :].sum() + p[last] * (1 - kept))


def attacked(p: ArrayLike, removed: float) -> Float:
    """Return the share of each degree class that is left when a share of all nodes went by falling degree (K + 1,)."""
    p = degree_distribution(p)
    above = p[::-1].cumsum()[::-1] - p
    with np.errstate(divide="ignore", invalid="ignore"):
        gone = np.where(p > 0, np.clip((removed - above) / p, 0.0, 1.0), 0.0)
    return np.asarray(1.0 - gone)


def giant_share(p: ArrayLike, kept: ArrayLike = 1.0) -> float:
    """Return the giant component among the nodes that are left, as a share of all (Callaway et al. 2000).

    Parameters
    ----------
    p : float (K + 1,)
        Degree distribution.
    kept : float or float (K + 1,)
        Probability that a node of each degree is left.

    Notes
    -----
    With F0(x) = sum p_k q_k x^k and F1 = F0'/<k>: S = F0(1) - F0(u), u = 1 - F1(1) + F1(u).
    """
    p = degree_distribution(p)
    q = np.broadcast_to(np.asarray(kept, np.float64), p.shape)
    return float(p * q @ (1.0 - _dead_end(p, q) ** np.arange(len(p))))


def _dead_end(p: Float, q: ArrayLike) -> float:
    """Return the probability u that an edge leads to no infinite cluster of occupied nodes."""
    k = np.arange(1, len(p))
    mean = float(k @ p[1:])
    if mean == 0:
        return 1.0
    weight = k * p[1:] * np.asarray(q)[1:] / mean
    return _smallest_fixed_point(lambda u: float(1.0 - weight.sum() + weight @ u ** (k - 1)))


# --------------------------------------------------------------------------- threshold cascades (Watts 2002)


def vulnerable_degree(phi: float) -> int:
    """Return the largest degree K* = floor(1/phi) at which one failed neighbour is enough, for 0 < phi <= 1."""
    refuse(not 0 < phi <= 1, f"threshold phi = {phi:g}: must be above 0 to 1")
    return math.floor(1 / phi + ROUNDING)


def watts_condition(phi: float, z: float) -> float:
    """Return the mean number of vulnerable nodes that a vulnerable node passes its failure on to: z Q(K* - 1, z).

    Q is the regularised upper incomplete gamma function; z is the mean degree of an Erdos-Renyi
    graph. Global cascades from one node are possible where it exceeds 1 (Watts 2002).
    """
    steps = vulnerable_degree(phi) - 1
    return float(z * gammaincc(steps, z)) if steps else 0.0


def watts_window(phi: float) -> tuple[float, float] | None:
    """Return the range of mean degrees with global cascades on Erdos-Renyi graphs; None where there is none.

    Examples
    --------
    >>> print("%.4f %.4f" % watts_window(0.18))
    1.0207 5.7647
    """
    high = 2.0 * vulnerable_degree(phi) + 10.0
    top = float(minimize_scalar(lambda z: -watts_condition(phi, z), bounds=(1.0, high), method="bounded").x)
    if watts_condition(phi, top) <= 1:
        return None

    def end(a: float, b: float) -> float:
        return float(brentq(lambda z: watts_condition(phi, z) - 1, a, b, xtol=1e-12))

    return end(0.5, top), end(top, high)


def cascade_chance(p: ArrayLike, phi: float) -> float:
    """Return the chance that the failure of one random node sets off a global cascade.

    It does iff the node touches the giant cluster of vulnerable nodes: 1 - G0(h) with h the
    probability that an edge does not lead there (Watts 2002, section on the extended cluster).
    """
    p = degree_distribution(p)
    k = np.arange(len(p))
    h = _dead_end(p, k <= vulnerable_degree(phi))
    return float(1.0 - p @ h**k)


def cascade_share(p: ArrayLike, phi: float) -> float:
    """Return the share of nodes that fail in a global cascade (Gleeson and Cahalane 2007), 0 if none can start.

    q = sum_k k p_k / <k> P[Bin(k-1, q) fails a node of degree k], from q -> 0+; the share is the same
    sum over all k neighbours.
    """
    p = degree_distribution(p)
    k = np.arange(1, len(p))
    p = p[1:]
    mean = float(k @ p)
    least = np.maximum(np.ceil(phi * k - ROUNDING), 1)
    if mean == 0 or float((k * (k - 1) * p)[k <= vulnerable_degree(phi)].sum()) <= mean:
        return 0.0
    q, before = 1e-6, 0.0
    while abs(q - before) > 1e-13:
        before, q = q, float(k * p @ binom.sf(least - 1, k - 1, q) / mean)
    return float(p @ binom.sf(least - 1, k, q))


# --------------------------------------------------------------------------- mutually dependent layers


def mutual_threshold(layers: int) -> tuple[float, float]:
    """Return the threshold k p_c of mutually dependent Erdos-Renyi layers of mean degree k, and k times the jump there.

    Parameters
    ----------
    layers : int
        n, at least 2. Every node depends on one node of each other layer (Buldyrev et al. 2010;
        Gao et al. 2011): P = p (1 - exp(-k P))^n, so k p is least over z = k P of z / (1 - exp(-z))^n.

    Examples
    --------
    >>> print("%.6f %.6f" % mutual_threshold(2))
    2.455407 1.256431
    """
    refuse(layers < 2, f"layers = {layers}: mutual dependence needs at least 2")
    # d/dz ln: 1/z = n e^-z / (1 - e^-z), that is exp(z) - 1 = n z; above its minimum at ln n.
    z = float(brentq(lambda z: math.expm1(z) - layers * z, math.log(layers), 2 * math.log(layers) + 2, xtol=1e-14))
    return z / (-math.expm1(-z)) ** layers, z


def mutual_share(layers: int, k: float, kept: float) -> float:
    """Return the share of nodes that work in every layer after all but a share `kept` of one layer was removed.

    Parameters
    ----------
    layers : int
        At least 2.
    k : float
        Mean degree of each layer.
    kept : float
        From 0 to 1.

    Returns
    -------
    float
        Largest root of P = p (1 - exp(-k P))^n; 0 below the threshold.
    """
    threshold, z = mutual_threshold(layers)
    if k * kept < threshold:
        return 0.0
    # In x = k P the curve x / (1 - exp(-x))^n rises from its minimum at z.
    top = max(k * kept, z)
    return float(brentq(lambda x: x - k * kept * (-math.expm1(-x)) ** layers, z, top + 1e-12, xtol=1e-14)) / k


# --------------------------------------------------------------------------- providers


def functioning_share(providers: int, phi: float) -> float:
    """Return the share of a growing graph that works when every node needs one of its providers.

    Parameters
    ----------
    providers : int
        r, at least 1: each newcomer picks r of the nodes before it at random.
    phi : float
        Probability that a node is down by itself, 0 to 1.

    Returns
    -------
    float
        Largest root of s = (1 - phi) (1 - (1 - s)^r): positive iff phi < 1 - 1/r; with r = 2,
        (1 - 2 phi) / (1 - phi).
    """
    refuse(providers < 1, f"providers = {providers}: must be at least 1")
    refuse(not 0 <= phi <= 1, f"phi = {phi:g}: must be from 0 to 1")
    # In the failing share y = 1 - s the map is a generating function, convex and increasing.
    return 1.0 - _smallest_fixed_point(lambda y: phi + (1.0 - phi) * y**providers)


def functioning_share_finite(nodes: int, founders: int, providers: int, phi: float) -> tuple[float, float]:
    """Return mean and standard deviation of the functioning share of a growing graph of finite size, exactly.

    The number W of working nodes is a Markov chain: the newcomer to t nodes works with probability
    (1 - phi) (1 - C(t - W, r) / C(t, r)); founders work with probability 1 - phi.

    Parameters
    ----------
    nodes : int
        Size of the grown graph, founders included.
    founders : int
        Nodes without providers, at least r.
    providers : int
        r distinct providers of every later node.
    phi : float
        Probability that a node is down by itself.
    """
    refuse(
        not 1 <= providers <= founders <= nodes,
        f"founders = {founders}: must be from providers = {providers} to nodes = {nodes}",
    )
    chance = np.zeros(nodes + 1)
    chance[: founders + 1] = binom.pmf(np.arange(founders + 1), founders, 1.0 - phi)
    working = np.arange(nodes + 1)
    for t in range(founders, nodes):
        w = working[: t + 1]
        none = np.ones(t + 1)
        for j in range(providers):
            none *= np.maximum(t - w - j, 0) / (t - j)
        joins = chance[: t + 1] * (1.0 - phi) * (1.0 - none)
        chance[: t + 1] -= joins
        chance[1 : t + 2] += joins
    mean = float(chance @ working)
    return mean / nodes, math.sqrt(max(0.0, float(chance @ (working - mean) ** 2))) / nodes
