"""Random input: faulty words and files for every command, and random valid communities.

    python tests/fuzz.py --inputs 3000 --communities 2000 --seed 1

An input must end with a documented exit code, within a minute, without a traceback, with plain lines that begin with
`mpbf:`, and leave the files it read as they were. A community must run, and its series stay within the stated ranges.
What does not is printed with the seed that makes it again; exit code 1.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import re
import shlex
import signal
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import typer.main
from numpy.random import Generator

from mpbf_abm import Parameters, Policy, Shock, cli, simulate
from mpbf_abm.cli.app import COMMANDS, app
from mpbf_abm.cli.binding import MOVED
from mpbf_abm.errors import ConfigurationError
from mpbf_abm.model.indicators import BOUNDS, UNITS
from mpbf_abm.model.interventions import FIXED, POLICIES
from mpbf_abm.model.shocks import SHOCKS, TARGETS
from mpbf_abm.parameters import PATHS, field_of, options, schema_row

SECONDS = 60  # after which an input hangs
TEMPLATES = Path(cli.__file__).parent / "templates"
EXIT_CODES = (0, 2, 3)

# --------------------------------------------------------------------------- words and files

NASTY = [
    *("", " ", "0", "-1", "1e400", "nan", "inf", "-0.0", "1e-300", "1_000", "0x10", "1,5", "\u0661", "9" * 5000),
    *("[", "[" * 3000, "{a=1}", "[[1]]", "'", '"', "\\", "\n", "a=b=c", "=1+1", "--", "-", "..", "/", "/dev/null"),
    *("true", "null", "None", "NaN", "\u200b", "\x1b[31m", "\x07", "\U0001f4a5", "\u0430", "../../x", "%s", "$(id)"),
    *("planners.exploration", "planners.count=0", "x" * 10_000, "1:2", "audits", "audits:start=-1", "audits:end=nan"),
    *("repository_outage:target=99", "2020-01-01", "1/0", "0/1", "2/1", "a,b", ",", ";", "found_share", "quick"),
]
DATA = {
    "table.csv": "formula,gap,pbe,kind\nLiF,9.1,8.2,a\nNaCl,8.5,5.0,a\nMgO,7.8,4.7,b\nGaAs,1.4,.3,b\nSiO2,8.9,6,b\n",
    "pool.csv": "solvent,t,yield\nwater,1,2\nwater,2,3\nethanol,1,4\nethanol,2,7\n",
    "rows.json": '[{"formula": "LiF", "gap": 9.1}, {"formula": "NaCl", "gap": 8.5}, {"formula": "KBr", "gap": 7}]',
}
# Commands on a file, with the options that they need.
CHECK = ("data check", "--formula=formula", "--measured=gap")
READERS = {
    "config.toml": [("config check",), ("run", "--ticks=1", "--set=space.materials=300", "--set=founding.records=50")],
    "study.toml": [("study check",), ("study plan", "--pilot=0"), ("config check",)],
    "table.csv": [CHECK],
    "pool.csv": [("data check", "--objective=yield"), ("pool", "--objective=yield", "--seeds=1", "--jobs=1")],
    "rows.json": [CHECK],
}


def commands(entries: Any = COMMANDS, *above: str) -> Iterator[list[str]]:
    """Yield every command."""
    for name, entry in entries.items():
        if entry.commands:
            yield from commands(entry.commands, *above, name)
        elif entry.panel != MOVED:
            yield [*above, name]


def flags(command: list[str]) -> list[str]:
    """Return the long options of a command."""
    found: Any = typer.main.get_command(app)
    for name in command:
        found = found.get_command(None, name)
    return [flag for p in found.params for flag in p.opts if flag.startswith("--") and flag != "--help"]


def word(rng: Generator) -> str:
    """Return a word that few options take."""
    return NASTY[rng.integers(len(NASTY))]


def faulty_words(rng: Generator) -> list[str]:
    """Return a command with random options and values; one at least is refused, so that nothing long is run."""
    every = list(commands())
    command = every[rng.integers(len(every))]
    known = flags(command)
    said = [*command, "--no-such-option"]
    for _ in range(rng.integers(0, 5)):
        flag = str(rng.choice(known)) if known else "--x"
        said += [[flag, word(rng)], [f"{flag}={word(rng)}"], [word(rng)], [flag]][rng.integers(4)]
    return said


def spoiled(text: str, rng: Generator) -> str:
    """Return a text with one fault."""
    lines = text.split("\n")
    at, place = int(rng.integers(len(lines))), int(rng.integers(len(text) + 1))
    values = [m.span(1) for m in re.finditer(r"= *([^\n#]+)", text)] or [(place, place)]
    begin, end = values[rng.integers(len(values))]
    faults = [
        text[:begin] + word(rng) + text[end:],
        text[:begin] + repr(word(rng)) + text[end:],
        "\n".join(lines[:at] + lines[at + 1 :]),
        "\n".join([*lines[: at + 1], *lines[at:]]),
        text[:place] + word(rng) + text[place:],
        text[:place],
        "\n".join([*lines[:at], lines[at].removeprefix("# "), *lines[at + 1 :]]),
    ]
    return faults[rng.integers(len(faults))]


def mutated(text: str, rng: Generator) -> bytes:
    """Return a text with one to three faults, one in ten with a turned bit."""
    for _ in range(rng.integers(1, 4)):
        text = spoiled(text, rng)
    raw = bytearray(text.encode("utf-8", "surrogatepass"))
    if raw and rng.random() < 0.1:
        raw[rng.integers(len(raw))] ^= 1 << int(rng.integers(8))
    return bytes(raw)


def faulty_file(rng: Generator, folder: Path) -> list[str]:
    """Write a file with faults, and return a command that reads it."""
    templates = {p.name: p.read_text(encoding="utf-8").replace("NAME", "quick", 1) for p in TEMPLATES.glob("*.toml")}
    name = str(rng.choice(list(READERS)))
    (folder / name).write_bytes(mutated((templates | DATA)[name], rng))
    command, *options = READERS[name][rng.integers(len(READERS[name]))]
    known = flags(command.split())
    more = [f"{rng.choice(known)}={word(rng)}"] if known and rng.random() < 0.1 else []
    return [*command.split(), name, *options, *more]


class Over(BaseException):
    """What ends an input that hangs; nothing catches it on the way."""


def _over(*_: object) -> None:
    raise Over


def fault_of_input(arguments: list[str]) -> str:
    """Call the command in this process; return what is wrong with how it ended, or nothing."""
    out, err = io.StringIO(), io.StringIO()
    signal.signal(signal.SIGALRM, _over)
    signal.alarm(SECONDS)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            cli.main(arguments)
    except SystemExit as stop:
        code = stop.code
    except BaseException:  # noqa: BLE001 (what is looked for)
        return traceback.format_exc(limit=-3)
    finally:
        signal.alarm(0)
    lines = err.getvalue().splitlines()
    if code not in EXIT_CODES:
        return f"exit code {code}: {lines[:3]}"
    if code == 2 and not lines:
        return "exit code 2 without a word"
    bad = [s for s in lines if "Traceback" in s or (code == 2 and not s.startswith("mpbf:")) or not s.isprintable()]
    return f"exit code {code}, lines {bad[:2]}" if bad else ""


def try_input(seed: int, number: int) -> str:
    """Return the fault of one random input, with its command, or nothing."""
    rng = np.random.default_rng([seed, 0, number])
    with tempfile.TemporaryDirectory() as place:
        os.chdir(place)
        folder = Path(place)
        arguments = faulty_file(rng, folder) if rng.random() < 2 / 3 else faulty_words(rng)
        before = {p: p.read_bytes() for p in folder.iterdir()}
        fault = fault_of_input(arguments)
        if any(not p.exists() or p.read_bytes() != data for p, data in before.items()):
            fault += " a file that was read has changed"
        os.chdir("/")
    return fault and f"input {number}: mpbf {shlex.join(a[:80] for a in arguments)}\n{before.values()}\n{fault}"


# --------------------------------------------------------------------------- communities

SMALL: dict[str, Any] = {"space.materials": 300, "space.families": 6, "founding.records": 60, "trainers.features": 24}
# Values that only cost time.
MOST = {"space.materials": 400, "space.families": 40, "founding.records": 300, "trainers.features": 64}
MOST |= dict.fromkeys(("curators.count", "trainers.count", "planners.count", "infrastructure.repositories"), 12)
MOST |= {"planners.candidates": 40, "planners.experiments": 50, "trainers.panel": 20, "trainers.records": 200}
MOST |= {"space.observed_dims": 160, "trainers.features_most": 96, "trainers.features_growth": 20}
MOST |= {"founding.structures": 500, "curators.structures": 4}


def value(path: str, rng: Generator) -> Any:
    """Return a value of a parameter: a name, a switch, a bound, or a number between, also very close to a bound."""
    if names := options(path):
        return str(rng.choice(names))
    row, kind = schema_row(path), field_of(path).annotation
    if kind is bool:
        return bool(rng.integers(2))
    if row["low"] is None or row["high"] is None:
        return row["default"]
    low, high = float(row["low"]), min(float(row["high"]), MOST.get(path, np.inf), 50.0 if kind is int else np.inf)
    high = max(low, high)
    number = [low, high, rng.uniform(low, high), low + (high - low) * 10 ** rng.uniform(-9, 0)][rng.integers(4)]
    return round(number) if kind is int else float(number)


def event(kind: Callable[..., Any], names: list[str], ticks: int, rng: Generator) -> Any:
    """Return a random policy or shock."""
    start = int(rng.integers(ticks))
    end = None if rng.random() < 0.5 else start + int(rng.integers(1, 4))
    target = {"target": str(rng.choice(TARGETS))} if kind is Shock else {}
    return kind(str(rng.choice(names)), start=start, end=end, strength=float(rng.choice([0, 0.3, 1])), **target)


def community(rng: Generator) -> dict[str, Any]:
    """Return what to simulate; raises ConfigurationError where the draw is no valid community."""
    paths = list(PATHS)
    many = [1, int(rng.integers(1, 9)), len(paths) // 2, len(paths)][rng.integers(4)]
    changes = SMALL | {p: value(p, rng) for p in rng.permutation(paths)[:many].tolist()}
    for path, most in MOST.items():
        if path in PATHS:
            changes.setdefault(path, min(most, schema_row(path)["default"]))
    while True:
        # What belongs together (shares that sum to one, caps) is taken back one fault at a time.
        try:
            parameters = Parameters.preset("single-default").updated(changes)
            break
        except ConfigurationError as error:
            wrong = [p for p in changes if any(p in fault for fault in error.faults) and p not in SMALL]
            if not wrong:
                raise
            del changes[wrong[0]]
    ticks = int(rng.integers(2, 4))
    levers = [n for n, kind in POLICIES.items() if not any(lever.path in FIXED for lever in kind.levers)]
    policies = [event(Policy, levers, ticks, rng) for _ in range(rng.integers(3))]
    shocks = [event(Shock, list(SHOCKS), ticks, rng) for _ in range(rng.integers(3))]
    seed = int(rng.integers(1, 1000))
    return {"parameters": parameters, "seed": seed, "ticks": ticks, "policies": policies, "shocks": shocks}


def try_community(seed: int, number: int) -> str | None:
    """Return the fault of one random community, nothing if it has none, None if the draw was not valid."""
    rng = np.random.default_rng([seed, 1, number])
    asked: dict[str, Any] = {}
    signal.signal(signal.SIGALRM, _over)
    signal.alarm(SECONDS)
    try:
        asked = community(rng)
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            series = simulate(**asked).series
    except ConfigurationError:
        return None
    except BaseException:  # noqa: BLE001 (what is looked for)
        return f"community {number}: {asked}\n{traceback.format_exc(limit=-4)}"
    finally:
        signal.alarm(0)
    faults = [str(w.message) for w in said][:3]
    for name in (n for n in UNITS if n in series):
        values = series[name].to_numpy(float)
        most = BOUNDS.get(name, np.finfo(float).max)
        low = 0.0 if name in BOUNDS else -most
        # Weights of single precision add up to one within 1e-6.
        if ((values < low - 1e-6) | (values > most + 1e-6)).any():
            faults.append(f"{name}: {values}")
    return f"community {number}: {asked['parameters'].changed()}, {asked}\n{faults}" if faults else ""


# --------------------------------------------------------------------------- all


def run(inputs: int, communities: int, seed: int, jobs: int) -> tuple[list[str], int]:
    """Return faults of random inputs and of valid random communities, and how many draws were not valid."""
    faults, invalid = [], 0
    with ProcessPoolExecutor(jobs) as pool:
        faults += filter(None, pool.map(partial(try_input, seed), range(inputs), chunksize=20))
        valid, number = 0, 0
        while valid < communities:
            numbers = range(number, number := number + communities - valid)
            found = list(pool.map(partial(try_community, seed), numbers, chunksize=5))
            valid += sum(f is not None for f in found)
            invalid += sum(f is None for f in found)
            faults += filter(None, found)
    return faults, invalid


def main() -> int:
    """Run and print what failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inputs", type=int, default=3000)
    parser.add_argument("--communities", type=int, default=2000, help="valid ones")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2)
    asked = parser.parse_args()
    faults, invalid = run(asked.inputs, asked.communities, asked.seed, asked.jobs)
    print("\n\n".join(faults))
    tried = f"{asked.inputs} inputs, {asked.communities} valid communities ({invalid} draws refused)"
    print(f"{tried}: {len(faults)} faults")
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
