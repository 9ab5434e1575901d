"""Keyed random streams: common random numbers by construction.

A draw is a pure function of (root seed, decision name, tick, slot): one array per
decision and tick, with the agent's slot along the first axis. Two runs that differ
in one rule therefore share every draw of every other rule. One more agent (a new
last row) leaves the rows before it as they were. Draws that belong to a *record*
rather than to an agent are hashed from the record's key (:func:`hash_uniform`).

The generator is Philox4x64 (Salmon et al. 2011), a counter-based one: the key holds
the root seed and the decision, the counter holds the tick.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import lru_cache
from reprlib import repr as brief
from typing import Any, TypeGuard

import numpy as np
import scipy  # its parts are loaded when they are first used
from numpy.typing import NDArray

from mpbf_abm.arrays import Float, Float32, kernel
from mpbf_abm.errors import ConfigurationError, refuse

U64 = NDArray[np.uint64]

SEED_LIMIT = 2**63


def check_seed(seed: object, name: str = "seed") -> int:
    """Return a valid seed as int; refuse text, floats and booleans.

    A seed typed as text would silently be another seed in many libraries.
    """
    if not is_whole(seed):
        raise ConfigurationError(f"{name} = {brief(seed)}: must be a whole number from 0 to 2^63 - 1")
    refuse(not 0 <= int(seed) < SEED_LIMIT, f"{name} = {brief(int(seed))}: must be from 0 to 2^63 - 1")
    return int(seed)


def is_whole(value: object) -> TypeGuard[int | np.integer[Any]]:
    """Whether a value is a whole number; a switch is none."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


@lru_cache(maxsize=4096)
def _hash64(*parts: str | int) -> int:
    text = "\x1f".join(str(p) for p in parts).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")


class Streams:
    """Random draws keyed by decision, tick and slot.

    Parameters
    ----------
    seed : int
        Root seed, 0 to 2^63 - 1.
    later : mapping of int to int, optional
        ``{tick: seed}``: from that tick on, draws come from the other root seed. Used to
        split a run into an early and a late stream (pick-freeze designs) and to let
        branches of one history differ.
    """

    def __init__(self, seed: int, later: Mapping[int, int] | None = None) -> None:
        self.seed = check_seed(seed)
        self.later = {int(t): check_seed(s, "later seed") for t, s in sorted((later or {}).items())}
        self._bits = np.random.Philox(key=np.zeros(2, np.uint64))
        self._state = self._bits.state
        self._state |= {"buffer_pos": 4, "has_uint32": 0}
        self._key, self._counter = self._state["state"]["key"], self._state["state"]["counter"]
        self._counter[:] = 0
        self._generator = np.random.Generator(self._bits)
        self._tick_cache: tuple[int, int] = (-2, 0)

    def __deepcopy__(self, memo: dict[int, object]) -> Streams:
        """Copy by seeds alone: a stream has no history."""
        return Streams(self.seed, self.later)

    def __reduce__(self) -> tuple[type[Streams], tuple[int, dict[int, int]]]:
        return Streams, (self.seed, self.later)

    def reseed(self, later: Mapping[int, int]) -> None:
        """Draw from other root seeds from some ticks on, for everyone who holds this object."""
        self.later = Streams(self.seed, {**self.later, **later}).later
        self._tick_cache = (-2, 0)

    def root(self, tick: int) -> int:
        """64-bit root key in force at a tick."""
        if self._tick_cache[0] != tick:
            seed = [self.seed, *(other for start, other in self.later.items() if tick >= start)][-1]
            self._tick_cache = (tick, _hash64("root", seed))
        return self._tick_cache[1]

    def generator(self, decision: str, tick: int = 0) -> np.random.Generator:
        """Return the generator positioned at (decision, tick); use it before the next call."""
        # Setting the state in place costs 1 microsecond; a new generator costs 10.
        self._key[0] = self.root(tick)
        self._key[1] = _hash64("decision", decision)
        self._counter[2] = tick + 1
        self._bits.state = self._state
        return self._generator

    @kernel
    def uniform(self, decision: str, tick: int, shape: int | tuple[int, ...]) -> Float:
        """Uniform draws in [0, 1), slots along the first axis."""
        return self.generator(decision, tick).random(shape)

    @kernel
    def normal(self, decision: str, tick: int, shape: int | tuple[int, ...]) -> Float:
        """Standard normal draws, slots along the first axis."""
        return self.generator(decision, tick).standard_normal(shape)

    @kernel
    def normal32(self, decision: str, tick: int, shape: int | tuple[int, ...]) -> Float32:
        """Standard normal draws in single precision (other draws than :meth:`normal`)."""
        return self.generator(decision, tick).standard_normal(shape, dtype=np.float32)

    @kernel
    def record_uniform(self, decision: str, keys: U64, tick: int = 0) -> Float:
        """Uniform draws in [0, 1) keyed by record (or other 64-bit identity) instead of slot (n,)."""
        return hash_uniform(keys, _hash64("record", self.root(tick), decision, tick))

    @kernel
    def record_normal(self, decision: str, keys: U64, count: int, tick: int = 0) -> Float32:
        """Standard normal draws keyed by record, `count` for each (n, count)."""
        return hash_normal(keys, _hash64("record", self.root(tick), decision, tick), count)

    @kernel
    def exponential(self, decision: str, tick: int, shape: int | tuple[int, ...]) -> Float:
        """Standard exponential draws, slots along the first axis."""
        return self.generator(decision, tick).standard_exponential(shape)


def normal_quantile(u: Float) -> Float:
    """Standard normal quantile of uniform numbers, kept off the ends (about +-7)."""
    return np.asarray(scipy.special.ndtri(np.clip(u, 1e-12, 1 - 1e-12)))


def zipf(options: int, exponent: float) -> Float:
    """Cumulated shares of options whose share falls with their rank to a power (n,)."""
    share = np.cumsum(np.arange(1.0, options + 1.0) ** -exponent)
    return np.asarray(share / share[-1])


def by_shares(cumulated: Float, u: Float) -> NDArray[np.intp]:
    """Choose options by uniform numbers (...), given their cumulated shares (K,), which rounding may end below 1."""
    return np.minimum(np.searchsorted(cumulated, u, side="right"), len(cumulated) - 1)


@kernel
def race(clocks: Float, weights: Float) -> NDArray[np.intp]:
    """Choose along the last axis with probability proportional to `weights`.

    The exponential race ``argmin_k E_k / w_k``. Clocks are keyed by the *id* of what is
    chosen: a change of one weight moves a choice only to or from that id.

    Parameters
    ----------
    clocks : float array (..., K)
        Standard exponential draws, one per option.
    weights : float array (..., K)
        Non-negative; options of weight 0 are never chosen unless all are 0.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.argmin(clocks / weights, axis=-1))


# --------------------------------------------------------------------------- keyed by record

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX2 = np.uint64(0x94D049BB133111EB)


def splitmix(keys: U64) -> U64:
    """One round of the splitmix64 finaliser (Steele et al. 2014), element by element."""
    z = keys + _GOLDEN
    z = (z ^ (z >> np.uint64(30))) * _MIX1
    z = (z ^ (z >> np.uint64(27))) * _MIX2
    return z ^ (z >> np.uint64(31))


def hash_uniform(keys: U64, salt: int) -> Float:
    """Uniform numbers in [0, 1) that are pure functions of (key, salt)."""
    z = splitmix(splitmix(keys ^ np.uint64(salt)))
    return (z >> np.uint64(11)).astype(np.float64) * 2.0**-53


def hash_normal(keys: U64, salt: int, count: int) -> Float32:
    """Standard normal numbers, ``count`` per key, pure functions of (key, salt).

    Returns
    -------
    float32 array (len(keys), count)
        By the Box-Muller transform, which needs no inverse distribution function.
    """
    pairs = (count + 1) // 2
    lanes = np.arange(2 * pairs, dtype=np.uint64) * np.uint64(0xD1B54A32D192ED03)
    z = splitmix(splitmix(keys ^ np.uint64(salt))[:, None] + lanes)
    u = ((z >> np.uint64(40)).astype(np.float32) + np.float32(0.5)) * np.float32(2.0**-24)
    radius = np.sqrt(np.float32(-2.0) * np.log(u[:, :pairs]))
    angle = np.float32(2.0 * np.pi) * u[:, pairs:]
    return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)], axis=1)[:, :count]
