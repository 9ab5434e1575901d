"""Progress of many runs: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from typing import Any, Self

LINE_SECONDS = 30.0


class Bar:
    """Show done, failed, rate and time left, on standard error.

    Parameters
    ----------
    quiet : bool
        Print nothing.
    unit : str
    """

    def __init__(self, quiet: bool, unit: str = "run") -> None:
        self.quiet, self.unit = quiet, unit
        self.done = self.failed = self.known = self.total = 0
        self._bar: Any = None
        self._begun = self._printed = time.monotonic()

    def __enter__(self) -> Self:
        if not self.quiet and sys.stderr.isatty():
            from tqdm import tqdm

            self._bar = tqdm(total=0, unit=self.unit, leave=False, dynamic_ncols=True, smoothing=0.05)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if self._bar is not None:
            self._bar.close()
        elif self._printed > self._begun:
            self._line()

    def begin(self, total: int) -> None:
        """Announce `total` more items, known ones included."""
        self.total += total
        if self._bar is not None:
            self._bar.total = self.total
            self._bar.refresh()

    def advance(self, *, done: int = 0, failed: int = 0, known: int = 0) -> None:
        """Count items that are done, failed, or were there already."""
        self.done, self.failed, self.known = self.done + done, self.failed + failed, self.known + known
        if self._bar is not None:
            if known:
                # What was there already says nothing about the rate.
                self._bar.initial += known
                self._bar.n += known
            else:
                self._bar.update(done + failed)
            if failed:
                self._bar.set_postfix(failed=self.failed)
        elif not self.quiet and time.monotonic() - self._printed >= LINE_SECONDS:
            self._line()

    def say(self, line: str) -> None:
        """Print a line between the bars."""
        if self.quiet:
            return
        if self._bar is not None:
            self._bar.write(f"mpbf: {line}", file=sys.stderr)
        else:
            print(f"mpbf: {line}", file=sys.stderr, flush=True)

    def _line(self) -> None:
        self._printed = time.monotonic()
        made = self.done + self.failed
        rate = made / max(1e-9, self._printed - self._begun)
        left = max(0, self.total - made - self.known)
        eta = f", {left / rate / 60:.0f} min left" if rate > 0 and left else ""
        count = f"{made + self.known} of {self.total} {self.unit}s, {self.failed} failed"
        print(f"mpbf: {count}, {rate:.2g} a second{eta}", file=sys.stderr, flush=True)
