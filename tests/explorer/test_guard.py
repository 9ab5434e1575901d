"""Who may talk to the page."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from waiting import run_alone

from mpbf_abm.errors import StoppedError
from mpbf_abm.page.serve import COOKIE, MOST_BODY, Guard, is_loopback, listening

TOKEN = "secret"  # noqa: S105 (of the test)


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        return
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        size += len(message.get("body", b""))
        if not message.get("more_body"):
            break
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(size).encode()})


def ask(
    guard: Guard,
    kind: str = "http",
    method: str = "GET",
    path: str = "/",
    query: str = "",
    body: list[bytes] | None = None,
    **headers: str,
) -> list[dict[str, Any]]:
    """What the guard, or the app behind it, answers."""
    sent: list[dict[str, Any]] = []
    parts = body or [b""]
    messages = [{"type": "http.request", "body": b, "more_body": i < len(parts) - 1} for i, b in enumerate(parts)]
    if kind == "websocket":
        messages = [{"type": "websocket.connect"}]

    async def receive() -> dict[str, Any]:
        return messages.pop(0) if messages else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    pairs = [(k.replace("_", "-").encode(), v.encode()) for k, v in headers.items()]
    scope = {"type": kind, "path": path, "query_string": query.encode(), "headers": pairs}
    if kind == "http":
        scope["method"] = method
    run_alone(guard(scope, receive, send))
    return sent


def status(answer: list[dict[str, Any]]) -> int:
    return int(answer[0]["status"])


@pytest.mark.parametrize("host", ["127.0.0.1:8642", "localhost", "LOCALHOST:1", "[::1]:8642"])
def test_own_hosts_are_served(host: str):
    answer = ask(Guard(app), host=host)
    assert status(answer) == 200
    policy = dict(answer[0]["headers"])[b"content-security-policy"].decode()
    assert "default-src 'self'" in policy
    assert host in policy


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8642",
        "127.0.0.1.evil.example",
        "",
        "127.0.0.1@evil.example",
        "localhost/../x",
        "[::1",
        "a b",
    ],
)
def test_foreign_hosts_are_refused(host: str):
    assert status(ask(Guard(app), host=host)) == 400
    assert status(ask(Guard(app), method="POST", host=host)) == 400
    assert ask(Guard(app), kind="websocket", host=host, origin=f"http://{host}")[0]["type"] == "websocket.close"


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1:1", "https://127.0.0.1.evil.example:8642", ""]
)
def test_foreign_origins_are_refused_where_something_is_done(origin: str):
    host = "127.0.0.1:8642"
    assert ask(Guard(app), kind="websocket", host=host, origin=origin)[0]["type"] == "websocket.close"
    assert status(ask(Guard(app), method="POST", host=host, origin=origin)) == 403


def test_own_origin_is_served_and_a_socket_needs_one():
    host = "127.0.0.1:8642"
    assert ask(Guard(app), kind="websocket", host=host, origin=f"http://{host}")[0]["type"] == "websocket.accept"
    assert ask(Guard(app), kind="websocket", host=host)[0]["type"] == "websocket.close"
    assert status(ask(Guard(app), method="POST", host=host, origin=f"http://{host}", body=[b"abc"])) == 200


def test_large_bodies_are_refused_whatever_they_say_of_their_length():
    host = "localhost"
    assert status(ask(Guard(app), method="POST", host=host, content_length=str(MOST_BODY + 1))) == 413
    assert status(ask(Guard(app), method="POST", host=host, content_length="-5")) == 413
    assert ask(Guard(app), method="POST", host=host, body=[b"x" * MOST_BODY, b"x"]) == []
    assert ask(Guard(app), method="POST", host=host, body=[b"x" * 9])[1]["body"] == b"9"


def test_off_the_loopback_a_token_is_needed_and_kept_in_a_cookie():
    guard = Guard(app, ("lab.example",), token=TOKEN)
    host = "lab.example"
    assert status(ask(guard, host=host)) == 401
    assert status(ask(guard, host=host, query="token=guess")) == 401
    assert ask(guard, kind="websocket", host=host, origin=f"http://{host}")[0]["type"] == "websocket.close"
    welcome = ask(guard, host=host, query="token=secret&tick=3", path="//evil.example")
    headers = dict(welcome[0]["headers"])
    assert status(welcome) == 303
    assert headers[b"location"] == b"/evil.example?tick=3"
    assert b"HttpOnly" in headers[b"set-cookie"]
    assert b"SameSite=Strict" in headers[b"set-cookie"]
    cookie = f"{COOKIE}=secret"
    assert status(ask(guard, host=host, cookie=cookie)) == 200
    assert (
        ask(guard, kind="websocket", host=host, origin=f"http://{host}", cookie=cookie)[0]["type"] == "websocket.accept"
    )
    assert status(ask(guard, host=host, cookie=f"{COOKIE}=guess")) == 401
    # A socket cannot bring the token in its address.
    assert (
        ask(guard, kind="websocket", host=host, origin=f"http://{host}", query="token=secret")[0]["type"]
        == "websocket.close"
    )


def test_what_is_loopback():
    assert [is_loopback(h) for h in ("127.0.0.1", "127.3.2.1", "::1", "localhost")] == [True] * 4
    assert [is_loopback(h) for h in ("0.0.0.0", "::", "192.168.1.2", "lab.example", "")] == [False] * 5  # noqa: S104


def test_a_port_in_use_is_one_line():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(StoppedError, match=rf"cannot listen at 127.0.0.1:{port} .*--port"):
            listening("127.0.0.1", port)
    with pytest.raises(StoppedError, match="cannot listen"):
        listening("no.such.host.invalid", 0)
