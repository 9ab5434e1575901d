"""What losses cost in each scenario of a study, and what remedies are worth.

python analysis/losses.py results/fragility [--outcome found_share] [--by infrastructure.providers]
python analysis/losses.py results/monoculture --remedies

Effects are paired on seeds, scenario by scenario; their intervals hold together over all arms and scenarios of an
outcome. A remedy's arms are called REMEDY and "REMEDY, LOSS"; its worth is the loss that it avoids, in per cent of the
inflow of experimental funding: what the arm "less funding" loses tells the price of one per cent. Intervals of shares
and prices are 95 % bootstrap intervals over replicates.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mpbf_abm import Results
from mpbf_abm.errors import MpbfError
from mpbf_abm.stats.paired import simultaneous_intervals

Float = NDArray[np.float64]

LESS, CUT = "less funding", 20.0  # per cent of the inflow that the arm of this name goes without
RESAMPLES = 4_000


def effects(values: Float, arms: Sequence[str], seed: int = 0) -> pd.DataFrame:
    """Paired difference of each arm to the first, by scenario.

    Parameters
    ----------
    values : float (scenarios, arms, replicates)
    arms : sequence of str
    seed : int

    Returns
    -------
    DataFrame
        ``scenario``, ``arm``, ``difference``, ``low``, ``high`` (simultaneous), ``p10`` and ``p90`` of the pairs.
    """
    gaps = values[:, 1:] - values[:, :1]
    flat = gaps.reshape(-1, gaps.shape[2]).T
    together = simultaneous_intervals(flat, events=[False] * flat.shape[1], seed=seed)
    p10, p90 = np.nanquantile(flat, (0.1, 0.9), axis=0)
    names = [(s, a) for s in range(len(values)) for a in arms[1:]]
    return pd.DataFrame(names, columns=["scenario", "arm"]).assign(
        difference=together.mean, low=together.low, high=together.high, p10=p10, p90=p90
    )


def grouped(values: Float, levels: Sequence[object]) -> tuple[Float, list[object]]:
    """Values of scenarios put together by a factor's level, and the levels.

    The values are (levels, arms, scenarios of a level times replicates).

    Parameters
    ----------
    values : float (scenarios, arms, replicates)
    levels : sequence (scenarios,)
    """
    distinct = list(dict.fromkeys(levels))
    parts = [
        np.concatenate([v for v, at in zip(values, levels, strict=True) if at == level], axis=1) for level in distinct
    ]
    out = np.full((len(parts), values.shape[1], max(p.shape[1] for p in parts)), np.nan)
    for i, part in enumerate(parts):
        out[i, :, : part.shape[1]] = part
    return out, distinct


def interval(samples: Sequence[Float], of: Callable[..., float], seed: int = 0) -> tuple[float, float, float]:
    """A function of means over replicates, with its bootstrap interval.

    Parameters
    ----------
    samples : sequence of float (replicates,)
        Resampled together.
    of : callable
        From their means to a number.
    seed : int
    """
    x = np.array(samples)
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(x.shape[1], np.full(x.shape[1], 1.0 / x.shape[1]), RESAMPLES) @ x.T / x.shape[1]
    low, high = np.quantile([of(*row) for row in drawn], (0.025, 0.975))
    return of(*x.mean(axis=1)), float(low), float(high)


def worth(found: Float, before: Float, arms: Sequence[str], seed: int = 0) -> pd.DataFrame:
    """What hangs on what is lost, and what each remedy saves of it, in one scenario.

    Parameters
    ----------
    found : float (arms, replicates)
        Finds at the end.
    before : float (replicates,)
        Finds of the baseline when the loss happens.
    arms : sequence of str
        The first is the baseline.
    seed : int

    Returns
    -------
    DataFrame
        ``measure``, ``arm``, ``value``, ``low``, ``high``: ``cost`` of a loss; ``share``, its cost over the finds still
        to come; of a remedy against a loss ``effect`` (its own, without a loss), ``avoided`` (cost without it less cost
        with it) and ``price`` (per cent of the funding that would buy as many finds; NaN where it is not sure that less
        funding costs any).
    """
    of = dict(zip(arms, found, strict=True))
    base = of[arms[0]]
    dear = LESS in of and interval([base - of[LESS]], lambda cost: cost, seed)[1] > 0
    rows = []
    for arm in arms[1:]:
        if ", " in arm:
            remedy, loss = arm.split(", ")
            avoided = (base - of[loss]) - (of[remedy] - of[arm])
            rows += [
                ("effect", arm, *interval([of[remedy] - base], lambda effect: effect, seed)),
                ("avoided", arm, *interval([avoided], lambda saved: saved, seed)),
            ]
            price = (np.nan,) * 3
            if dear:
                price = interval([avoided, base - of[LESS]], lambda saved, cut: CUT * saved / cut, seed)
            rows.append(("price", arm, *price))
        elif arm.endswith(" lost"):
            rows += [
                ("cost", arm, *interval([base - of[arm]], lambda cost: cost, seed)),
                ("share", arm, *interval([base - of[arm], base - before], lambda cost, rest: cost / rest, seed)),
            ]
        elif arm == LESS:
            rows.append(("cost", arm, *interval([base - of[arm]], lambda cost: cost, seed)))
    return pd.DataFrame(rows, columns=["measure", "arm", "value", "low", "high"])


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables of a study's folder."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("folder")
    parser.add_argument("--outcome", action="append", help="outcome of the study [default: all that are primary]")
    parser.add_argument(
        "--by", metavar="PARAMETER", help="put scenarios with the same value of it together; 'all' puts all together"
    )
    parser.add_argument("--remedies", action="store_true", help="what remedies are worth, instead")
    asked = parser.parse_args(arguments)
    try:
        with Results.open(asked.folder) as results:
            scenarios, arms = results.scenarios.drop(columns="place"), results.arm_names
            print(scenarios.to_string(index=False))
            if asked.by not in (None, "all", *scenarios.columns):
                parser.error(f"--by {asked.by}: must be all or one of {', '.join(scenarios.columns)}")
            if asked.remedies:
                for s in range(len(scenarios)):
                    table = worth(results.values("found_share")[s], results.values("found_before")[s, 0], arms)
                    print(f"\nscenario {s}\n{table.round(4).to_string(index=False)}")
                return 0
            for name in asked.outcome or [n for n, o in results.definitions.items() if o.primary]:
                values, levels = results.values(name), scenarios["scenario"].tolist()
                if asked.by is not None:
                    values, levels = grouped(
                        values, ["all"] * len(values) if asked.by == "all" else scenarios[asked.by].tolist()
                    )
                table = effects(values, arms)
                table["scenario"] = [levels[i] for i in table["scenario"]]
                print(f"\n{name}\n{table.round(4).to_string(index=False)}")
    except MpbfError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
