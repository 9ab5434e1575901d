"""Serving the page: who may talk to it, and one process with the event loop and the workers.

Allowed are its own hosts and origin and, off the loopback, those who hold the token.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import ipaddress
import secrets
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import uvicorn

from mpbf_abm.errors import StoppedError
from mpbf_abm.page.desk import Desk
from mpbf_abm.page.layout import application
from mpbf_abm.page.stored import Studies

Names = tuple[str, ...]
Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

LOOPBACK = ("127.0.0.1", "localhost", "::1")
MOST_BODY = 1024 * 1024
COOKIE = "mpbf_token"
# What the page's own library needs: scripts and styles inside the page, and its own worker.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "font-src 'self' data:; connect-src 'self' {socket}; object-src 'none'; base-uri 'self'; form-action 'self'; "
    "frame-ancestors 'none'"
)


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Guard:
    """Refuse, before the app sees them: foreign hosts (400), origins (403), missing tokens (401), large bodies (413).

    Parameters
    ----------
    app : ASGI application
    hosts : sequence of str
        Names under which the page is served.
    token : str, optional
        What a visitor must bring once, as ``?token=``; a cookie keeps it.
    """

    def __init__(self, app: App, hosts: tuple[str, ...] = LOOPBACK, token: str | None = None) -> None:
        self.app, self.hosts, self.token = app, {h.lower() for h in hosts}, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what may pass."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        host = headers.get("host", "")
        if (refused := self._refused(scope, headers, host)) is not None:
            await _refuse(scope, receive, send, *refused)
            return
        if scope["type"] == "http" and self._brought(scope):
            await self._welcome(scope, send)
            return
        await self.app(scope, _bounded(receive), _with_policy(send, POLICY.format(socket=f"ws://{host} wss://{host}")))

    def _refused(self, scope: Scope, headers: dict[str, str], host: str) -> tuple[int, str] | None:
        if _host_name(host) not in self.hosts:
            return 400, "this page is not served under that host"
        socket = scope["type"] == "websocket"
        if foreign := _foreign(headers.get("origin"), host, socket, socket or scope["method"] not in ("GET", "HEAD")):
            return 403, foreign
        if self.token is not None and not self._holds(headers) and (socket or not self._brought(scope)):
            return 401, "this page needs the token that mpbf explore has printed: add ?token=... to its address"
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > MOST_BODY:
            return 413, f"at most {MOST_BODY} bytes are taken"
        return None

    def _brought(self, scope: Scope) -> bool:
        """Return whether the address holds the right token."""
        return self._is_token(dict(parse_qsl(scope.get("query_string", b"").decode("latin-1"))).get("token"))

    def _holds(self, headers: dict[str, str]) -> bool:
        """Return whether the cookie holds the right token."""
        morsel = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
        return self._is_token(None if morsel is None else morsel.value)

    def _is_token(self, given: str | None) -> bool:
        if given is None or self.token is None:
            return False
        return hmac.compare_digest(given.encode(), self.token.encode())

    async def _welcome(self, scope: Scope, send: Send) -> None:
        """Put the token into a cookie and out of the address."""
        rest = urlencode([(k, v) for k, v in parse_qsl(scope["query_string"].decode("latin-1")) if k != "token"])
        place = "/" + scope["path"].lstrip("/") + (f"?{rest}" if rest else "")
        cookie = f"{COOKIE}={self.token}; HttpOnly; SameSite=Strict; Path=/"
        await _answer(send, 303, b"", {"location": place, "set-cookie": cookie})


def _foreign(origin: str | None, host: str, socket: bool, writes: bool) -> str:
    """Return why an origin is refused; empty for one of the page itself."""
    if origin is None:
        return "a socket needs an origin" if socket else ""
    own = (f"http://{host}".lower(), f"https://{host}".lower())
    return "requests of other origins are refused" if writes and origin.lower() not in own else ""


def _host_name(host: str) -> str | None:
    """Name or address in a Host header, which may have a port and nothing else."""
    if set(host) & set("/?#@\\ \t"):
        return None
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


async def _refuse(scope: Scope, receive: Receive, send: Send, status: int, reason: str) -> None:
    if scope["type"] == "websocket":
        await receive()
        # Closed before it was accepted: the server answers with 403.
        await send({"type": "websocket.close", "code": 1008, "reason": reason})
        return
    await _answer(send, status, reason.encode(), {"content-type": "text/plain; charset=utf-8"})


async def _answer(send: Send, status: int, body: bytes, headers: dict[str, str]) -> None:
    pairs = [(k.encode(), v.encode()) for k, v in (headers | {"content-length": str(len(body))}).items()]
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    await send({"type": "http.response.body", "body": body})


def _bounded(receive: Receive) -> Receive:
    """End bodies without a stated length at the limit, too."""
    taken = 0

    async def bounded() -> Message:
        nonlocal taken
        message = await receive()
        if message["type"] == "http.request":
            taken += len(message.get("body", b""))
            if taken > MOST_BODY:
                return {"type": "http.disconnect"}
        return message

    return bounded


def _with_policy(send: Send, policy: str) -> Send:
    """Say to the browser, too, that nothing comes from elsewhere and no other page may frame this one."""

    async def with_policy(message: Message) -> None:
        if message["type"] == "http.response.start":
            sniff, referrer = (b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"no-referrer")
            extra = [(b"content-security-policy", policy.encode()), sniff, referrer]
            message = {**message, "headers": [*message.get("headers", []), *extra]}
        await send(message)

    return with_policy


# --------------------------------------------------------------------------- the process


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
        server = uvicorn.Server(
            uvicorn.Config(app, lifespan="on", ws_max_size=MOST_BODY, timeout_graceful_shutdown=1, **quiet)
        )
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
