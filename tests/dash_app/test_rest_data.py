"""REST about data and background jobs."""

import pytest
from fake_platform import FakePlatform
from fastapi.testclient import TestClient

DATA = "dataset/samples/pretrain.jsonl"
LARGE = "dataset/pretrain_hq.jsonl"


def test_statistics_are_a_job_that_is_found_again(client: TestClient) -> None:
    body = {"path": DATA, "type": "pretrain", "max_seq_len": 512}
    job = client.post("/api/data/stats", json=body).json()
    assert (job["state"], job["result"]["max_seq_len"]) == ("done", 512)
    assert client.post("/api/data/stats", json=body).json()["id"] == job["id"]
    assert client.get(f"/api/jobs/{job['id']}").json()["result"] == job["result"]
    assert client.get("/api/jobs", params={"kind": "stats"}).json()[0]["result"] is None


def test_a_running_job_is_cancelled_and_only_then_removed(client: TestClient) -> None:
    job = client.post("/api/data/stats", json={"path": LARGE}).json()
    assert job["state"] == "running"
    assert client.delete(f"/api/jobs/{job['id']}").status_code == 409
    assert client.post(f"/api/jobs/{job['id']}/cancel").json()["state"] == "cancelled"
    assert client.delete(f"/api/jobs/{job['id']}").json() == {"id": job["id"]}
    assert client.get(f"/api/jobs/{job['id']}").status_code == 404


def test_a_preview_is_paged(client: TestClient) -> None:
    seen = client.get("/api/data/preview", params={"path": DATA, "start": 10, "rows": 5}).json()
    assert [row["where"] for row in seen["rows"]] == ["line 11", "line 12"]


@pytest.mark.parametrize(
    "query", [{}, {"path": DATA, "rows": 0}, {"path": DATA, "start": -1}, {"path": DATA, "rows": 9**9}]
)
def test_a_preview_of_nonsense_is_a_problem(client: TestClient, query: dict[str, str]) -> None:
    assert client.get("/api/data/preview", params=query).status_code == 422


def test_files_that_are_not_there_are_told(client: TestClient) -> None:
    answer = client.post("/api/data/stats", json={"path": "../secret"})
    assert answer.status_code == 404
    assert answer.json()["hint"]


def test_fetching_from_the_hub(client: TestClient, platform: FakePlatform) -> None:
    entries = {entry["name"]: entry for entry in client.get("/api/data/hub").json()}
    assert entries["dpo"]["job"] is None
    job = client.post("/api/data/hub/dpo").json()
    assert job["state"] == "running"
    assert client.get("/api/data/hub").json()[7]["job"]["id"] == job["id"]
    assert client.post("/api/data/hub/nothing").status_code == 404


def test_the_routes_are_described(client: TestClient) -> None:
    paths = client.get("/api/openapi.json").json()["paths"]
    assert {"/api/data/stats", "/api/data/preview", "/api/data/hub", "/api/data/hub/{name}", "/api/jobs/{id}"} <= set(
        paths
    )
