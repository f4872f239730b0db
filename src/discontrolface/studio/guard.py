"""What stands before the whole application: who may ask, for what, and how much of it. Plain ASGI, so that it sees every request first.

- Only the paths that the page and the API need exist. Gradio's own ways to files, proxies, uploads, queues and code are not among them.
- The Host has to be ours (a page of another site could otherwise reach this machine by renaming itself), and so has the Origin of a change.
- With `auth`, HTTP Basic for everything.
- A body may not be larger than its kind needs, whatever its header says.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import re
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from starlette.exceptions import HTTPException

from discontrolface.common.errors import UserError
from discontrolface.studio.limits import Limits

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

API: Final = "/studio/api/"
UPLOADS: Final = (f"{API}photo", f"{API}other")
PAGE: Final = re.compile(r"/|/theme\.css|/favicon\.ico|/(assets|static|studio/static)/[A-Za-z0-9_.@+/-]+")
LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")
HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    # Gradio makes functions from text (unsafe-eval) and writes styles into the page; nothing comes from, or goes to, anywhere else
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; style-src 'self' 'unsafe-inline'; "
    "script-src 'self' 'unsafe-inline' 'unsafe-eval'; font-src 'self' data:; object-src 'none'; base-uri 'self'; form-action 'none'; "
    "frame-ancestors 'none'",
}


@dataclass(frozen=True)
class Access:
    """Who may ask. hosts: names by which the server may be called; (): any. credentials: "user:password", or None for everybody."""

    hosts: tuple[str, ...] = LOOPBACK
    credentials: str | None = None

    def __post_init__(self) -> None:
        if self.credentials is not None and not all(self.credentials.partition(":")):
            raise UserError("the credentials must be of the form user:password, neither of them empty")


class Guard:
    """An application behind the checks."""

    def __init__(self, app: Application, limits: Limits, access: Access) -> None:
        self.app, self.limits, self.access = app, limits, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
            return
        refusal = self._refusal(scope)
        if refusal is not None:
            await _answer(send, *refusal)
            return
        await self.app(scope, self._counted(scope, receive), _with_headers(scope, send))

    def _refusal(self, scope: Scope) -> tuple[int, str, dict[str, str]] | None:
        """(status, sentence, headers) for a request that is not let in."""
        headers: dict[str, str] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name.decode("latin-1").lower(), value.decode("latin-1"))
        if not self._host_is_ours(headers.get("host", "")):
            return 421, "this server does not go by that name; it is started with --host", {}
        if not self._authorized(headers.get("authorization", "")):
            return 401, "user and password are needed", {"WWW-Authenticate": 'Basic realm="studio", charset="UTF-8"'}
        path, method = scope["path"], scope["method"]
        raw = scope.get("raw_path") or path.encode()
        clean = b"%2e" not in raw.lower() and b"%2f" not in raw.lower() and b"%5c" not in raw.lower()
        if not clean or ".." in path or "//" in path or "\\" in path or not path.isprintable():
            return 404, "there is nothing at this address", {}
        if not path.startswith(API) and (not PAGE.fullmatch(path) or method not in ("GET", "HEAD")):
            return 404, "there is nothing at this address", {}
        if method not in ("GET", "HEAD") and not _same_origin(headers):
            return 403, "changes are taken from the studio's own page only", {}
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > self._room(path):
            return 413, f"the request is larger than {self._room(path) / 1e6:g} MB", {}
        return None

    def _host_is_ours(self, host: str) -> bool:
        if not self.access.hosts:
            return True
        try:
            return urlsplit(f"//{host}").hostname in self.access.hosts
        except ValueError:
            return False

    def _authorized(self, header: str) -> bool:
        if self.access.credentials is None:
            return True
        kind, _, text = header.partition(" ")
        try:
            given = base64.b64decode(text, validate=True) if kind.lower() == "basic" else b""
        except (binascii.Error, ValueError):
            given = b""
        return hmac.compare_digest(given, self.access.credentials.encode())

    def _room(self, path: str) -> int:
        return self.limits.upload_bytes if path in UPLOADS else self.limits.json_bytes

    def _counted(self, scope: Scope, receive: Receive) -> Receive:
        """`receive` that stops a body whose header said less, or nothing."""
        room, arrived = self._room(scope["path"]), 0

        async def counted() -> MutableMapping[str, Any]:
            nonlocal arrived
            message = await receive()
            arrived += len(message.get("body", b""))
            if arrived > room:
                raise HTTPException(413, f"the request is larger than {room / 1e6:g} MB")
            return message

        return counted


def _same_origin(headers: dict[str, str]) -> bool:
    """Whether a change comes from our own page, or from no page at all."""
    if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return False
    origin = headers.get("origin")
    return origin is None or urlsplit(origin).netloc == headers.get("host")


def _with_headers(scope: Scope, send: Send) -> Send:
    """`send` that adds our headers; answers of the API are not kept by browsers."""
    added = {**HEADERS, **({"Cache-Control": "no-store"} if scope["path"].startswith(API) else {})}

    async def sending(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], *((name.lower().encode(), value.encode()) for name, value in added.items())]
        await send(message)

    return sending


async def _answer(send: Send, status: int, sentence: str, headers: dict[str, str]) -> None:
    body = json.dumps({"error": sentence}).encode()
    fields = {"Content-Type": "application/json", "Content-Length": str(len(body)), "Connection": "close", **HEADERS, **headers}
    await send({"type": "http.response.start", "status": status, "headers": [(k.lower().encode(), v.encode()) for k, v in fields.items()]})
    await send({"type": "http.response.body", "body": body})
