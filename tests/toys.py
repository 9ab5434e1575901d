"""Models of one's own for tests: quick, and faulty where a test asks for it."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from mpbf_abm.processes import tell


def outcome(run: Any) -> tuple[dict[str, float], np.ndarray]:
    """Two outcomes and two series that follow from the seed and the values alone."""
    rng = np.random.default_rng(run.seed)
    y = float(rng.normal() + run.values.get("x", 0.0))
    return {"y": y, "big": float(y > 1.0)}, rng.normal(size=(len(run.kept), len(run.series))).cumsum(axis=0)


def logged(run: Any) -> Any:
    """Write a line when it begins, so that a test can count how often each run is made."""
    path = os.environ.get("RUN_LOG")
    if path:
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(handle, f"{run.seed} {run.arm}\n".encode())
        os.close(handle)
    time.sleep(float(os.environ.get("PAUSE", "0")))
    return outcome(run)


def faulty(run: Any) -> Any:
    """Fail in the ways that the environment says, each in one replicate of one scenario."""
    time.sleep(0.003)
    faults = os.environ["FAULT"].split(",")
    place = int(run.values["x"] - run.values["at"]) % 5 + 5 * (run.replicate - 3)
    if 0 <= place < len(faults):
        FAULTS[faults[place]]()
    return outcome(run)


def raise_error() -> None:
    """Raise an ordinary exception."""
    raise ValueError("this run cannot be")


def fill_memory() -> None:
    """Take memory without end."""
    held = []
    while True:
        held.append(np.ones(500_000))
        time.sleep(0.02)


class Unpicklable(Exception):
    """An exception that cannot be sent to another process."""

    def __init__(self) -> None:
        super().__init__("no way back")
        self.handle = open(os.devnull)  # noqa: SIM115


def raise_unpicklable() -> None:
    """Raise what pickle cannot take."""
    raise Unpicklable


class Unspeakable(Exception):
    """An exception whose words raise."""

    def __str__(self) -> str:
        raise RuntimeError("not even this")


def raise_unspeakable() -> None:
    """Raise what cannot say what it is."""
    raise Unspeakable


def interrupt() -> None:
    """Raise what Ctrl-C raises."""
    raise KeyboardInterrupt


FAULTS = {
    "raises": raise_error,
    "raises what cannot be sent": raise_unpicklable,
    "raises what has no words": raise_unspeakable,
    "interrupts itself": interrupt,
    "leaves": lambda: sys.exit(4),
    "ends its process": lambda: os._exit(5),
    "kills its process": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "segfaults": lambda: ctypes.string_at(0),
    "hangs": lambda: time.sleep(10**6),
    "takes memory step by step": fill_memory,
    "takes memory at once": lambda: np.ones(10**11),
}


def forking(run: Any) -> Any:
    """Fork in some runs, in the way that the environment says, and go on as if nothing were."""
    if run.replicate % 3 == 1:
        if os.fork() == 0:
            FORKS[os.environ["FORK"]]()
        # So that the copy comes back before this process does, or after, as the kind of copy has it.
        time.sleep(0.02)
    return outcome(run)


def write_everywhere() -> None:
    """Write what is no message into everything that is open."""
    for number in range(3, 64):
        try:
            os.write(number, os.environ["BABBLE"].encode())
        except OSError:
            continue


FORKS = {
    "comes back at once": lambda: None,
    "comes back late": lambda: time.sleep(0.4),
    "leaves": lambda: sys.exit(0),
    "raises": raise_error,
    "is interrupted": lambda: (_ for _ in ()).throw(KeyboardInterrupt),
    "tells": lambda: [tell() or time.sleep(0.06) for _ in range(5)],
}


def orphaning(run: Any) -> Any:
    """Leave a copy of the process alive and die, in one replicate of one scenario."""
    if run.replicate == 3 and run.values["x"] == run.values["at"]:
        if os.fork() == 0:
            time.sleep(20)
            os._exit(0)
        os.kill(os.getpid(), signal.SIGKILL)
    return outcome(run)


def starting(run: Any) -> Any:
    """Start a program in one replicate of one scenario, and go on in the way that the environment says."""
    if run.replicate == 3 and run.values["x"] == run.values["at"]:
        size = int(os.environ.get("PROGRAM_MB", "0"))
        code = (
            f"import pathlib, sys, time; held = bytearray({size} * 10**6); "
            "pathlib.Path(sys.argv[1]).touch(); time.sleep(300)"
        )
        for number in range(int(os.environ.get("PROGRAMS", "1"))):
            mark = Path(f"{os.environ['PROGRAM']}-{os.getpid()}-{number}")
            subprocess.Popen([sys.executable, "-c", code, str(mark)])
            while not mark.exists():
                time.sleep(0.02)
        FAULTS.get(os.environ["FAULT"], lambda: None)()
    return outcome(run)


def flaky(run: Any) -> Any:
    """Kill its process the first time only."""
    mark = Path(os.environ["FLAKY"]) / f"{run.seed}-{run.arm}"
    if run.replicate == 2 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return outcome(run)


def nan(run: Any) -> Any:
    """Return NaN in one replicate of one scenario."""
    values, series = outcome(run)
    return (values | {"y": float("nan")} if run.replicate == 1 and run.values["x"] == 1 else values), series


def threads(run: Any) -> dict[str, float]:  # noqa: ARG001
    """Most threads that linear algebra has where a run is made."""
    from threadpoolctl import threadpool_info

    return {"threads": float(max(pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"))}


def babbling(run: Any) -> Any:
    """Write what is no message to the driver, in one replicate of one scenario, and go on."""
    if run.replicate == 3 and run.values["x"] == run.values["at"]:
        write_everywhere()
    return outcome(run)
