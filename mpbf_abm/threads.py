"""One BLAS thread: sums then have one order, so that bytes do not depend on the machine's cores."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

_inside = False


@lru_cache(maxsize=1)
def _controller() -> object:
    import numpy  # noqa: F401  (both bring a BLAS of their own, which must be loaded to be found)
    import scipy.linalg  # noqa: F401
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


@contextmanager
def one_thread() -> Iterator[None]:
    """Limit BLAS to one thread inside the block; nesting costs nothing.

    The matrices here are small: one thread is also the fastest.
    """
    global _inside
    if _inside:
        yield
        return
    _inside = True
    try:
        with _controller().limit(limits=1, user_api="blas"):  # type: ignore[attr-defined]
            yield
    finally:
        _inside = False
