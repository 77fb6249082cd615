"""The way to MLflow's own pages, with a small server in MLflow's place."""

import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import uvicorn
from fake_platform import FakePlatform
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response, StreamingResponse
from fastapi.testclient import TestClient

from dash_app.app import create_app
from minimind_platform.settings import Settings


def stand_in() -> FastAPI:
    app = FastAPI()

    @app.post("/mlflow/echo")
    async def echo(request: Request) -> JSONResponse:
        return JSONResponse({"headers": dict(request.headers), "body": (await request.body()).decode()})

    @app.get("/mlflow/raw/{rest:path}")
    def raw(request: Request) -> Response:
        return Response(request.scope["raw_path"] + b"?" + request.scope["query_string"])

    @app.get("/mlflow/away")
    def away(request: Request) -> Response:
        return RedirectResponse(f"{request.base_url}mlflow/there?a=1")

    @app.get("/mlflow/large")
    def large() -> Response:
        async def parts() -> AsyncIterator[bytes]:
            for _ in range(64):
                yield b"x" * 65536

        return StreamingResponse(parts(), headers={"Content-Length": str(64 * 65536), "ETag": "e"})

    return app


@pytest.fixture(scope="module")
def upstream() -> Iterator[int]:
    server = uvicorn.Server(uvicorn.Config(stand_in(), port=0, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    thread.join(5)


@pytest.fixture
def client(upstream: int, tmp_path: Path) -> Iterator[TestClient]:
    platform = FakePlatform(tmp_path)
    platform.settings = Settings(home=tmp_path, tracking_port=upstream)
    with TestClient(create_app(platform), base_url="http://localhost", follow_redirects=False) as client:  # type: ignore[arg-type]
        yield client


def test_a_body_arrives_with_its_length_and_without_our_host_and_origin(client: TestClient, upstream: int) -> None:
    seen = client.post("/mlflow/echo", content=b"{}", headers={"Origin": "http://localhost", "X-Own": "1"}).json()
    assert seen["body"] == "{}"
    assert seen["headers"]["content-length"] == "2"
    assert "transfer-encoding" not in seen["headers"]
    assert "origin" not in seen["headers"]
    assert seen["headers"]["host"] == f"127.0.0.1:{upstream}"
    assert seen["headers"]["x-own"] == "1"


def test_an_upload_may_be_larger_than_our_own_requests(client: TestClient) -> None:
    assert len(client.post("/mlflow/echo", content=b"x" * 3_000_000).json()["body"]) == 3_000_000


def test_path_and_query_arrive_as_they_were_written(client: TestClient) -> None:
    assert client.get("/mlflow/raw/a%2Fb%20c?x=%2F&y").content == b"/mlflow/raw/a%2Fb%20c?x=%2F&y"


def test_redirects_stay_with_us(client: TestClient) -> None:
    assert client.get("/mlflow/away").headers["location"] == "/mlflow/there?a=1"
    assert client.get("/mlflow").headers["location"] == "/mlflow/"


def test_large_answers_pass_whole(client: TestClient) -> None:
    answer = client.get("/mlflow/large")
    assert (len(answer.content), answer.headers["etag"]) == (64 * 65536, "e")
