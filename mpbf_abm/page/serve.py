"""Serving the page: one process with the event loop, and the workers."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvicorn

from mpbf_abm.errors import StoppedError
from mpbf_abm.page.desk import Desk
from mpbf_abm.page.guard import LOOPBACK, MOST_BODY, Guard, is_loopback
from mpbf_abm.page.layout import application
from mpbf_abm.page.stored import Studies

Names = tuple[str, ...]


def listening(host: str, port: int) -> socket.socket:
    """Return a socket that listens, or one line about why it cannot.

    Raises
    ------
    StoppedError
    """
    place = None
    try:
        family, kind, proto, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        place = socket.socket(family, kind, proto)
        place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        place.bind(where)
        place.listen()
    except OSError as error:
        if place is not None:
            place.close()
        why = f"cannot listen at {host}:{port} ({error.strerror or error})"
        raise StoppedError(f"{why}; choose another --port, 0 for any that is free") from None
    return place


def serve(
    host: str, port: int, *, studies: Path, opening: str, workers: int, names: Names = (), ready: Callable[[str], None]
) -> None:
    """Serve the page until interrupted.

    Parameters
    ----------
    host, port : str, int
        Where to listen; port 0 is any that is free.
    studies : Path
        Folder of stored studies.
    opening : str
        Address of the scenario to start with.
    workers : int
        Processes.
    names : tuple of str
        Further host names under which the page is reached.
    ready : callable
        Called with the page's address once it is there.
    """
    place, local = listening(host, port), is_loopback(host)
    token = None if local else secrets.token_urlsafe(24)
    hosts = (*LOOPBACK, *names, *(() if local else (host, socket.gethostname(), *_own_addresses())))
    # Every address of this machine stands for itself on this machine.
    everywhere = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "[::1]"}  # noqa: S104
    shown = everywhere.get(host, f"[{host}]" if ":" in host else host)
    address = f"http://{shown}:{place.getsockname()[1]}/" + (f"?token={token}" if token else "")

    async def run() -> None:
        desk = Desk(workers, folder=studies)
        app = Guard(application(desk, Studies(studies), opening), hosts, token)
        quiet: dict[str, Any] = {"log_level": "warning", "access_log": False, "server_header": False}
        config = uvicorn.Config(app, lifespan="on", ws_max_size=MOST_BODY, timeout_graceful_shutdown=1, **quiet)
        server = uvicorn.Server(config)
        tasks = [asyncio.create_task(work) for work in (desk.serve(), _when_started(server, lambda: ready(address)))]
        try:
            await server.serve(sockets=[place])
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(run())


def _own_addresses() -> tuple[str, ...]:
    """Return addresses of this machine, by which others reach it."""
    with contextlib.suppress(OSError):
        return tuple(str(info[4][0]) for info in socket.getaddrinfo(socket.gethostname(), None))
    return ()


async def _when_started(server: uvicorn.Server, ready: Callable[[], None]) -> None:
    while not server.started:
        await asyncio.sleep(0.02)
    ready()
