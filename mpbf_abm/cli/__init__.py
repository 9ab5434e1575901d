"""The ``mpbf`` command.

Commands import what they need when they run, so that ``mpbf --help`` is quick. Tables go to
standard output, progress and faults to standard error. Exit codes: 0 ok, 1 failure, 2 usage or
configuration, 3 something ran but did not match, 130 interrupted.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

# They add their commands.
from mpbf_abm.cli import (  # noqa: F401
    analyses,
    calibrate,
    config,
    data,
    explore,
    figures,
    lab,
    moved,
    pool,
    run,
    study,
    validate,
    verify,
)
from mpbf_abm.cli.app import app
from mpbf_abm.cli.console import FAILURE, INTERRUPTED, OK, USAGE, Told, complain
from mpbf_abm.errors import BookkeepingError, HaltError, MpbfError, StoppedError


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit.

    Parameters
    ----------
    arguments : sequence of str, optional
        Default: those of the process.
    """
    sys.exit(_run(arguments))


def _run(arguments: Sequence[str] | None) -> int:
    try:
        code = app(args=None if arguments is None else list(arguments), prog_name="mpbf", standalone_mode=False)
    except BookkeepingError as error:
        complain([f"the model's books do not balance, please report this: {error}"])
        return FAILURE
    except HaltError as error:
        complain([str(error)])
        return INTERRUPTED
    except StoppedError as error:
        complain([str(error)])
        return FAILURE
    except MpbfError as error:
        complain(getattr(error, "faults", None) or [str(error)])
        return USAGE
    except (OSError, MemoryError) as error:
        complain([str(error) or type(error).__name__])
        return FAILURE
    except Exception as error:
        # typer keeps its parser's errors under a private name; what they share is this method.
        message = getattr(error, "format_message", None)
        if message is None:
            raise
        if type(error).__name__ == "NoArgsIsHelpError":
            print(message(), file=sys.stderr)
        else:
            complain([message()])
        return USAGE
    if code == INTERRUPTED and not isinstance(code, Told):
        complain(["interrupted; no result was written"])
    return code or OK
