"""Serving the page: one process with the event loop, and the workers."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
from collections.abc import Callable
from pathlib import Path

import uvicorn

from mpbf_abm.errors import StoppedError
from mpbf_abm.page.desk import Desk
from mpbf_abm.page.guard import LOOPBACK, MOST_BODY, Guard, is_loopback
from mpbf_abm.page.layout import application
from mpbf_abm.page.stored import Studies


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens, or one line about why it cannot.

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
        raise StoppedError(
            f"cannot listen at {host}:{port} ({error.strerror or error}); choose another --port, 0 for any that is free"
        ) from None
    return place


def serve(
    host: str,
    port: int,
    *,
    studies: Path,
    opening: str,
    workers: int,
    names: tuple[str, ...] = (),
    ready: Callable[[str], None],
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
    place = listening(host, port)
    token = None if is_loopback(host) else secrets.token_urlsafe(24)
    hosts = (*LOOPBACK, *names, *(() if is_loopback(host) else (host, socket.gethostname(), *_own_addresses())))
    # Every address of this machine stands for itself on this machine.
    everywhere = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "[::1]"}  # noqa: S104
    shown = everywhere.get(host, f"[{host}]" if ":" in host else host)
    query = f"?token={token}" if token else ""
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(
            _run(
                place,
                hosts,
                token,
                Desk(workers, folder=studies),
                Studies(studies),
                opening,
                lambda: ready(f"http://{shown}:{place.getsockname()[1]}/{query}"),
            )
        )


def _own_addresses() -> tuple[str, ...]:
    """Addresses of this machine, by which others reach it."""
    with contextlib.suppress(OSError):
        return tuple(str(info[4][0]) for info in socket.getaddrinfo(socket.gethostname(), None))
    return ()


async def _run(
    place: socket.socket, hosts: tuple[str, ...], token: str | None, desk: Desk, studies: Studies, opening: str, ready: Callable[[], None]
) -> None:  # fmt: skip
    app = Guard(application(desk, studies, opening), hosts, token)
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        ws_max_size=MOST_BODY,
        timeout_graceful_shutdown=1,
        server_header=False,
        lifespan="on",
    )
    server = uvicorn.Server(config)
    work = asyncio.create_task(desk.serve())
    told = asyncio.create_task(_tell_when_started(server, ready))
    try:
        await server.serve(sockets=[place])
    finally:
        for task in (work, told):
            task.cancel()
        await asyncio.gather(work, told, return_exceptions=True)


async def _tell_when_started(server: uvicorn.Server, ready: Callable[[], None]) -> None:
    while not server.started:
        await asyncio.sleep(0.02)
    ready()
