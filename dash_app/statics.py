"""Scripts, styles and fonts: compressed once and kept in memory, with headers that let browsers keep them."""

import gzip
import hashlib
from collections.abc import Mapping
from pathlib import Path

import anyio.to_thread
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dash_app.bundles import Bundle

PREFIXES = ("/assets/", "/_dash-component-suites/")
COMPRESSIBLE = ("text/", "application/javascript", "application/json", "image/svg")
FOREVER = b"public, max-age=31536000, immutable"
ASK_AGAIN = b"no-cache"

PLOTLY_VERSION = "4.1.1"
PLOTLY_PATH = "/assets/plotly-cartesian.min.js"
PLOTLY_FILE = Path(__file__).parent / "vendor" / f"plotly-cartesian-{PLOTLY_VERSION}.min.js.gz"
"""plotly.js with charts in the plane only: a third of the whole. Of the same version as the Python package's."""

RawHeaders = list[tuple[bytes, bytes]]


class Statics:
    """Wraps the Dash application and answers for its static files from memory after the first request."""

    def __init__(self, app: ASGIApp, bundles: Mapping[str, Bundle]) -> None:
        self.app = app
        self.bundles = bundles
        self.kept: dict[str, tuple[RawHeaders, bytes]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "GET" or not scope["path"].startswith(PREFIXES):
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        squeezed = "gzip" in headers.get("accept-encoding", "")
        key = f"{scope['path']}?{scope['query_string'].decode('latin-1')} {squeezed}"
        if key not in self.kept:
            answer = await self._fetch(scope, receive, squeezed)
            if answer[0] != 200:
                await _send(send, *answer)
                return
            self.kept[key] = answer[1:]
        raw, body = self.kept[key]
        if headers.get("if-none-match", "").encode() == dict(raw)[b"etag"]:
            await _send(send, 304, [(k, v) for k, v in raw if k in (b"etag", b"cache-control", b"vary")], b"")
        else:
            await _send(send, 200, raw, body)

    async def _fetch(self, scope: Scope, receive: Receive, squeezed: bool) -> tuple[int, RawHeaders, bytes]:
        if scope["path"] == PLOTLY_PATH:
            status, kind, body = 200, b"text/javascript; charset=utf-8", PLOTLY_FILE.read_bytes()
            if not squeezed:
                body = gzip.decompress(body)
        else:
            if bundle := self.bundles.get(scope["path"]):
                status, kind, body = 200, bundle.kind.encode(), bundle.body
            else:
                status, kind, body = await self._from_app(scope, receive)
            squeezed = squeezed and kind.decode().startswith(COMPRESSIBLE)
            if squeezed:
                body = await anyio.to_thread.run_sync(gzip.compress, body, 9)
        tag = b'"' + hashlib.sha256(body).hexdigest()[:20].encode() + b'"'
        raw = [
            (b"content-type", kind),
            (b"content-length", str(len(body)).encode()),
            (b"cache-control", FOREVER if _named_by_content(scope) else ASK_AGAIN),
            (b"etag", tag),
            (b"vary", b"accept-encoding"),
        ]
        return status, [*raw, (b"content-encoding", b"gzip")] if squeezed else raw, body

    async def _from_app(self, scope: Scope, receive: Receive) -> tuple[int, bytes, bytes]:
        """The application's answer to the same request without conditions, in one piece."""
        start: list[Message] = []
        body = bytearray()

        async def take(message: Message) -> None:
            if message["type"] == "http.response.start":
                start.append(message)
            elif message["type"] == "http.response.body":
                body.extend(message.get("body", b""))

        plain = [
            (k, v) for k, v in scope["headers"] if not k.startswith(b"if-") and k not in (b"range", b"accept-encoding")
        ]
        await self.app({**scope, "headers": plain}, receive, take)
        return start[0]["status"], Headers(raw=start[0]["headers"]).get("content-type", "").encode(), bytes(body)


def _named_by_content(scope: Scope) -> bool:
    """Whether the URL changes with the file: a time or version in the query or in the name, as Dash writes them."""
    query, name = scope["query_string"], scope["path"].rsplit("/", 1)[-1]
    return query.startswith((b"m=", b"v=")) or ".v" in name or name.endswith(".woff2")


async def _send(send: Send, status: int, raw: RawHeaders, body: bytes) -> None:
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})
