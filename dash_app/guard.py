"""The outermost layer of the web process: who may talk to it, and what browsers may do with its answers.

Checks the host name (against DNS rebinding), the origin of everything that changes state (against other sites in the
same browser) and the size of bodies, and sets the security headers. It is plain ASGI and not a framework's middleware,
because those see neither mounted applications nor WebSockets.
"""

from collections.abc import Sequence
from http import HTTPStatus
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})
SAFE_METHODS = frozenset({"GET", "HEAD"})
BODY_LIMIT = 1 << 20
"""Largest body of a request to our own routes. MLflow's take uploads and have no limit here."""
MLFLOW_PREFIX = "/mlflow"

OWN_POLICY = (
    "default-src 'self'; script-src 'self' {hashes}; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "connect-src 'self'; worker-src 'self'; frame-ancestors 'none'; base-uri 'self'; form-action 'self'; "
    "object-src 'none'"
)
MLFLOW_POLICY = (
    "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; connect-src 'self' data: blob:; "
    "frame-ancestors 'self'; base-uri 'self'; form-action 'self'; object-src 'none'"
)


class Guard:
    """Wraps the application; see the module. The hashes of inline scripts come in quotes, as a policy writes them."""

    def __init__(self, app: ASGIApp, allowed_hosts: Sequence[str] = (), script_hashes: Sequence[str] = ()) -> None:
        self.app = app
        self.hosts = LOCAL_HOSTS | {host.lower() for host in allowed_hosts}
        self.own_policy = OWN_POLICY.format(hashes=" ".join(script_hashes))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        refusal = self.refusal(scope)
        if scope["type"] == "websocket":
            if refusal:
                await send({"type": "websocket.close", "code": 1008})
            else:
                await self.app(scope, receive, send)
            return
        send = self._with_headers(scope["path"], send)
        if refusal:
            await _refuse(send, *refusal)
        elif _is_mlflow(scope["path"]) or scope["method"] in SAFE_METHODS:
            await self.app(scope, receive, send)
        else:
            await self._limited(scope, receive, send)

    def refusal(self, scope: Scope) -> tuple[HTTPStatus, str] | None:
        """Why a request is refused, or None."""
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if _host_name(host) not in self.hosts:
            return HTTPStatus.MISDIRECTED_REQUEST, "This host name is not allowed. See allowed_hosts in minimind.toml."
        if scope["type"] == "http" and scope["method"] in SAFE_METHODS:
            return None
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
            return HTTPStatus.FORBIDDEN, "Requests from other sites are refused."
        if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return HTTPStatus.FORBIDDEN, "Requests from other sites are refused."
        return None

    async def _limited(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the body up to the limit before the application sees any of it."""
        messages: list[Message] = []
        size = 0
        more = True
        while more:
            message = await receive()
            messages.append(message)
            size += len(message.get("body", b""))
            more = message["type"] == "http.request" and message.get("more_body", False)
            if size > BODY_LIMIT:
                await _refuse(send, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The request is larger than 1 MiB.")
                return

        async def replay() -> Message:
            return messages.pop(0) if messages else await receive()

        await self.app(scope, replay, send)

    def _with_headers(self, path: str, send: Send) -> Send:
        mlflow = _is_mlflow(path)

        async def wrapped(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["Content-Security-Policy"] = MLFLOW_POLICY if mlflow else self.own_policy
                headers["X-Content-Type-Options"] = "nosniff"
                headers["X-Frame-Options"] = "SAMEORIGIN" if mlflow else "DENY"
                headers["Referrer-Policy"] = "same-origin"
                headers["Cross-Origin-Opener-Policy"] = "same-origin"
                headers["Cross-Origin-Resource-Policy"] = "same-origin"
            await send(message)

        return wrapped


def _is_mlflow(path: str) -> bool:
    return path == MLFLOW_PREFIX or path.startswith(MLFLOW_PREFIX + "/")


def _host_name(host: str) -> str:
    """The name in a Host header, without the port; "" if it is malformed."""
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port
    except ValueError:
        return ""
    return "" if parts.username is not None or parts.path else (parts.hostname or "")


async def _refuse(send: Send, status: HTTPStatus, text: str) -> None:
    body = text.encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": int(status), "headers": headers})
    await send({"type": "http.response.body", "body": body})
