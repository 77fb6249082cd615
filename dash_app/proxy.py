"""MLflow's own UI and API under `/mlflow`, so that people need one address and MLflow stays on the loopback one."""

from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import httpx
from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response, StreamingResponse

from dash_app.guard import MLFLOW_PREFIX
from dash_app.texts import pick_texts

HOP_HEADERS = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
NOT_FORWARDED = HOP_HEADERS | {"host", "origin", "referer"}
"""MLflow checks host and origin itself and knows nothing of ours; the guard has checked them already."""
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]

AWAY_PAGE = """<!DOCTYPE html><html lang="{lang}"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="/assets/logo.svg">
<style>body{{font:16px/1.6 system-ui,sans-serif;max-width:34rem;margin:15vh auto;padding:0 1.5rem;color:#1f2937}}
a{{color:#3b5bdb}}h1{{font-size:1.4rem}}</style></head><body><h1>{title}</h1><p>{text}</p>
<p><a href="">{again}</a> · <a href="/tasks">{back}</a></p></body></html>"""


def mlflow_router(tracking: str) -> APIRouter:
    """Forward everything under `/mlflow` to the tracking server.

    Args:
        tracking: its URL as clients use it, with its own path prefix.
    """
    router = APIRouter()
    base = tracking.rstrip("/")
    client = httpx.AsyncClient(
        timeout=httpx.Timeout(60, connect=3), limits=httpx.Limits(max_connections=64), trust_env=False
    )

    @router.api_route(MLFLOW_PREFIX, methods=["GET"], include_in_schema=False)
    async def without_slash() -> Response:
        return Response(status_code=307, headers={"Location": MLFLOW_PREFIX + "/"})

    @router.api_route(MLFLOW_PREFIX + "/{path:path}", methods=METHODS, include_in_schema=False)
    async def forward(request: Request) -> Response:
        try:
            answer = await client.send(_outgoing(client, base, request), stream=True)
        except httpx.TransportError:
            return _away(request)
        headers = [(k, v) for k, v in answer.headers.multi_items() if k.lower() not in HOP_HEADERS]
        response = StreamingResponse(_body(answer), status_code=answer.status_code)
        response.raw_headers = [(k.encode("latin-1"), _local(k, v, base).encode("latin-1")) for k, v in headers]
        return response

    return router


def _outgoing(client: httpx.AsyncClient, base: str, request: Request) -> httpx.Request:
    path = request.scope["raw_path"].decode("latin-1").removeprefix(MLFLOW_PREFIX)
    query = request.scope["query_string"].decode("latin-1")
    headers = [(k, v) for k, v in request.headers.items() if k.lower() not in NOT_FORWARDED]
    # The length is kept: MLflow's WSGI side reads a chunked body as an empty one.
    has_body = "content-length" in request.headers or "transfer-encoding" in request.headers
    return client.build_request(
        request.method,
        base + path + (f"?{query}" if query else ""),
        headers=headers,
        content=request.stream() if has_body else None,
    )


async def _body(answer: httpx.Response) -> AsyncIterator[bytes]:
    try:
        async for chunk in answer.aiter_raw():
            yield chunk
    finally:
        await answer.aclose()


def _local(name: str, value: str, base: str) -> str:
    """A redirect to the tracking server's own address leads people back here."""
    if name.lower() != "location" or not value.startswith(base):
        return value
    rest = urlsplit(value[len(base) :])
    return MLFLOW_PREFIX + rest.path + (f"?{rest.query}" if rest.query else "")


def _away(request: Request) -> Response:
    t = pick_texts(request.cookies.get("lang"), request.headers.get("accept-language"))
    if "text/html" not in request.headers.get("accept", ""):
        return Response(t("mlflow.away"), status_code=502, media_type="text/plain; charset=utf-8")
    page = AWAY_PAGE.format(
        lang=t.html_lang, title=t("mlflow.away"), text=t("mlflow.away_hint"), again=t("again"), back=t("nav.tasks")
    )
    return HTMLResponse(page, status_code=502)
