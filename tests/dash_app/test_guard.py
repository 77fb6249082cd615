"""Who may talk to the web app, and what its answers allow browsers to do."""

from collections.abc import Iterator

import pytest
from fake_platform import FakePlatform
from fastapi.testclient import TestClient

from dash_app.app import create_app
from dash_app.guard import BODY_LIMIT

CHANGE = "/api/check"
SETTINGS = {"type": "sft", "values": {}}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """One for all: nothing here changes anything."""
    app = create_app(FakePlatform(tmp_path_factory.mktemp("home")))  # type: ignore[arg-type]
    with TestClient(app, base_url="http://localhost:8050", follow_redirects=False) as client:
        yield client


@pytest.mark.parametrize("host", ["localhost", "localhost:8050", "127.0.0.1:1", "[::1]:8050", "LOCALHOST:8050"])
def test_local_names_are_served(client: TestClient, host: str) -> None:
    assert client.get("/healthz", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.test",
        "localhost.evil.test",
        "127.0.0.1.evil.test",
        "",
        "localhost@evil.test",
        "evil.test/localhost",
        "localhost:x",
    ],
)
@pytest.mark.parametrize("path", ["/tasks", "/api/tasks", "/mlflow/", "/assets/40-app.css", "/_dash-layout"])
@pytest.mark.fault("CSRF, DNS rebinding, clickjacking", "tracking server or engine reached directly")
def test_other_names_are_refused_everywhere(client: TestClient, host: str, path: str) -> None:
    assert client.get(path, headers={"Host": host}).status_code == 421


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.test"},
        {"Origin": "http://localhost:9999"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
@pytest.mark.parametrize("path", [CHANGE, "/_dash-update-component", "/mlflow/api/2.0/mlflow/runs/delete"])
@pytest.mark.fault("CSRF, DNS rebinding, clickjacking")
def test_changes_from_other_sites_are_refused(client: TestClient, headers: dict[str, str], path: str) -> None:
    assert client.post(path, headers=headers).status_code == 403


@pytest.mark.parametrize("headers", [{}, {"Origin": "http://localhost:8050", "Sec-Fetch-Site": "same-origin"}])
def test_changes_from_here_and_from_scripts_are_served(client: TestClient, headers: dict[str, str]) -> None:
    assert client.post(CHANGE, headers=headers, json=SETTINGS).status_code == 200


@pytest.mark.parametrize("path", ["/tasks", "/api/tasks", "/api/nosuch", "/assets/40-app.css", "/nope"])
@pytest.mark.fault("CSRF, DNS rebinding, clickjacking")
def test_every_answer_of_ours_has_the_security_headers(client: TestClient, path: str) -> None:
    headers = client.get(path).headers
    policy = headers["content-security-policy"]
    assert "frame-ancestors 'none'" in policy
    assert "''" not in policy
    assert "unsafe-eval" not in policy
    assert "'unsafe-inline'" not in policy.split("script-src")[1].split(";")[0]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert "server" not in headers


def test_mlflow_gets_a_policy_that_it_works_with(client: TestClient) -> None:
    assert "unsafe-inline" in client.get("/mlflow/").headers["content-security-policy"]


def test_a_large_body_is_refused(client: TestClient) -> None:
    assert client.post("/api/check", content=b"x" * (BODY_LIMIT + 1)).status_code == 413
    assert client.post("/api/check", content=(b"x" * 1024 for _ in range(BODY_LIMIT // 1024 + 1))).status_code == 413


@pytest.mark.parametrize("headers", [{"Host": "evil.test"}, {"Origin": "http://evil.test"}])
@pytest.mark.fault("CSRF, DNS rebinding, clickjacking")
def test_a_websocket_from_elsewhere_is_refused(client: TestClient, headers: dict[str, str]) -> None:
    with pytest.raises(Exception), client.websocket_connect("/any", headers=headers):  # noqa: B017
        pass


@pytest.mark.parametrize(
    "target", ["//evil.test", "https://evil.test", "/\\evil.test", "evil", "/tasks\r\nx: y", "", "//["]
)
def test_a_language_link_never_leads_away(client: TestClient, target: str) -> None:
    answer = client.get("/set-lang", params={"l": "zh", "next": target})
    assert answer.headers["location"] == "/tasks"


def test_a_language_link_sets_the_cookie_and_goes_back(client: TestClient) -> None:
    answer = client.get("/set-lang", params={"l": "zh", "next": "/tasks?q=a"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/tasks?q=a")
    assert "lang=zh" in answer.headers["set-cookie"]
