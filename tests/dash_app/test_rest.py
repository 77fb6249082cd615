"""REST and downloads."""

import io
import json
import zipfile
from dataclasses import replace
from urllib.parse import quote

import pytest
from fake_platform import FakePlatform
from fastapi.testclient import TestClient

from minimind_platform.errors import DatabaseUnavailableError
from minimind_platform.tasks import State
from minimind_platform.views import WeightFile

DATA = "dataset/samples/pretrain.jsonl"
UPDATE_BYTES = 1_500
"""A live update without log lines stays below this; one is sent a second."""


def test_tasks_are_filtered_and_counted(client: TestClient) -> None:
    body = client.get("/api/tasks", params={"state": ["RUNNING", "FAILED"], "limit": 10}).json()
    assert {task["state"] for task in body["tasks"]} == {"RUNNING", "FAILED"}
    assert body["counts"]["FINISHED"] == 31
    assert "config" not in body["tasks"][0]


def test_an_unknown_state_is_a_problem_and_no_crash(client: TestClient) -> None:
    answer = client.get("/api/tasks", params={"state": "SLEEPING"})
    assert answer.status_code == 422
    assert answer.json()["problems"][0]["field"].startswith("state")


def test_submit_makes_a_task_once_for_a_key(client: TestClient, platform: FakePlatform) -> None:
    body = {"type": "pretrain", "values": {"data_path": DATA}, "name": "once", "key": "k1"}
    first, second = client.post("/api/tasks", json=body), client.post("/api/tasks", json=body)
    assert first.status_code == 201
    assert first.json()["id"] == second.json()["id"]
    assert [task.name for task in platform.all.values()].count("once") == 1


def test_kinds_of_rewards_are_listed_with_their_options(client: TestClient) -> None:
    kinds = client.get("/api/reward-kinds").json()
    assert kinds["answer"]["needs_gt"] is True
    assert [field["name"] for field in kinds["length"]["fields"]] == ["weight", "name", "min_chars", "max_chars"]


def test_submit_tells_every_problem_at_its_field(client: TestClient) -> None:
    body = {"type": "pretrain", "values": {"epochs": "many", "hidden_size": 100, "num_attention_heads": 8}}
    answer = client.post("/api/tasks", json=body)
    assert answer.status_code == 422
    assert {(p["field"], p["code"]) for p in answer.json()["problems"]} == {
        ("data_path", "missing"),
        ("epochs", "int_parsing"),
        ("hidden_size", "hidden_not_multiple"),
    }


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"type": 3}', b'{"values": {}}'])
def test_a_malformed_submit_is_a_problem_and_no_crash(client: TestClient, content: bytes) -> None:
    answer = client.post("/api/tasks", content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert answer.json()["problems"]


def test_actions_and_their_conflicts(client: TestClient, platform: FakePlatform) -> None:
    assert client.post("/api/tasks/a2/stop").json()["state"] == State.STOPPING
    answer = client.post("/api/tasks/a2/resume")
    assert answer.status_code == 409
    assert answer.json()["hint"]
    assert client.post("/api/tasks/d5/resume").json()["state"] == State.QUEUED
    assert client.delete("/api/tasks/f1").status_code == 200
    assert "tiny-first-try" not in client.get("/api/tasks?q=tiny").text
    assert client.post("/api/tasks/f1/restore").status_code == 200
    assert client.post("/api/tasks/f1/retry").json()["parent_id"] == platform.by_name("tiny-first-try")


def test_retry_makes_a_task_once_for_a_key(client: TestClient) -> None:
    keys = ("k1", "k1", "k2", "", "")
    ids = [client.post("/api/tasks/f1/retry", params={"key": key}).json()["id"] for key in keys]
    assert ids[0] == ids[1]
    assert len(set(ids)) == 4


@pytest.mark.fault("database locked")
def test_a_queue_that_does_not_answer_is_no_fault_of_the_request(
    client: TestClient, platform: FakePlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    def task(_id: str) -> None:
        raise DatabaseUnavailableError

    monkeypatch.setattr(platform, "task", task)
    answer = client.get("/api/tasks/a2/live")
    assert answer.status_code == 503
    assert "does not answer" in answer.json()["error"]


def test_a_page_far_behind_the_last_is_refused(client: TestClient) -> None:
    assert client.get("/api/tasks", params={"offset": 10**9}).json()["tasks"] == []
    assert client.get("/api/tasks", params={"offset": 2**63}).status_code == 422


@pytest.mark.parametrize(
    "path",
    [
        "/api/nosuch",
        "/api/tasks/nope",
        "/api/tasks/nope/live",
        "/api/weights/nope/download",
        "/api/models/x/9/download",
    ],
)
def test_what_is_not_there_is_told_in_json(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    assert answer.json()["error"]


def test_a_live_update_holds_only_what_is_new(client: TestClient, platform: FakePlatform) -> None:
    platform.steps_a_second = 0
    keys = {"keys": "train/loss,eval/loss"}
    first = client.get("/api/tasks/a2/live", params=keys).json()
    assert len(first["curves"]["train/loss"]["steps"]) > 500
    newest = {key: (curve.get("last") or curve["steps"])[-1] for key, curve in first["curves"].items()}
    since = ",".join(f"{key}:{first['curves'][key]['width']}:{step}" for key, step in newest.items())
    params = keys | {"since": since, "offset": first["log"]["end"], "marks": first["count"]}
    second = client.get("/api/tasks/a2/live", params=params)
    assert second.json()["curves"] == {} and "marks" not in second.json()
    assert second.json()["log"]["text"] == ""
    assert len(second.content) < UPDATE_BYTES


def test_a_page_that_shows_no_chart_gets_the_numbers_and_the_log(client: TestClient) -> None:
    body = client.get("/api/tasks/a2/live").json()
    assert body["curves"] == {} and body["task"]["progress"]["step"] > 0 and body["log"]["text"]


def test_the_page_of_a_waiting_task_is_told_its_place(client: TestClient, platform: FakePlatform) -> None:
    places = [client.get(f"/api/tasks/{id_}/live").json()["turn"] for id_ in platform.queue.order()]
    assert places == list(range(1, len(places) + 1)) and places
    assert client.get("/api/tasks/a2/live").json()["turn"] == 0


def test_without_the_tracking_server_a_live_update_still_has_progress_and_log(
    client: TestClient, platform: FakePlatform
) -> None:
    platform.tracking = False
    body = client.get("/api/tasks/a2/live").json()
    assert body["tracking"] is False
    assert body["curves"] == {}
    assert body["task"]["progress"]["step"] > 0
    assert body["log"]["text"]
    assert client.get("/api/models").status_code == 503


def test_the_log_comes_in_pieces_and_whole(client: TestClient, platform: FakePlatform) -> None:
    whole = client.get("/api/tasks/c4/log/download")
    assert whole.content == platform.written[platform.task("c4").id]
    assert "attachment" in whole.headers["content-disposition"]
    piece = client.get("/api/tasks/c4/log", params={"offset": 0, "limit": 500}).json()
    assert piece["end"] <= 500
    assert piece["text"].endswith("\n")


def test_weights_download_with_range(client: TestClient) -> None:
    answer = client.get("/api/weights/pretrain_768.pth/download", headers={"Range": "bytes=8-15"})
    assert (answer.status_code, answer.content) == (206, b"weights ")


def test_a_fetched_model_downloads_as_zip(client: TestClient, platform: FakePlatform) -> None:
    folder = platform.settings.out_dir / "hub" / "minimind-3"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    platform.files.append(WeightFile("hub/minimind-3", folder, 2, 0.0, 768, False))
    answer = client.get("/api/weights/hub/minimind-3/download")
    assert zipfile.ZipFile(io.BytesIO(answer.content)).namelist() == ["minimind-3/config.json"]


def test_a_version_downloads_as_zip_and_by_file(client: TestClient) -> None:
    answer = client.get("/api/models/minimind-pretrain/7/download")
    archive = zipfile.ZipFile(io.BytesIO(answer.content))
    assert archive.testzip() is None
    assert set(archive.namelist()) == {"minimind-pretrain-7/config.json", "minimind-pretrain-7/model.safetensors"}
    part = client.get("/api/models/minimind-pretrain/7/download?file=model.safetensors", headers={"Range": "bytes=-4"})
    assert (part.status_code, part.content) == (206, bytes([252, 253, 254, 255]))
    assert client.get("/api/models/minimind-pretrain/7/download?file=../x").status_code == 404


def test_a_version_with_a_name_of_any_letters_downloads(client: TestClient, platform: FakePlatform) -> None:
    platform.versions.append(replace(platform.versions[0], name='名 "1"'))
    answer = client.get(f"/api/models/{quote(platform.versions[-1].name)}/7/download")
    name = quote('名 "1"-7.zip')
    assert answer.headers["content-disposition"] == f"attachment; filename*=UTF-8''{name}"
    assert '名 "1"-7/config.json' in zipfile.ZipFile(io.BytesIO(answer.content)).namelist()


def test_numbers_that_json_cannot_hold_become_null() -> None:
    from dash_app.views import answer

    assert json.loads(answer({"a": float("nan"), "b": [float("inf"), 1.5]}).body) == {"a": None, "b": [None, 1.5]}


def test_openapi_describes_the_routes_and_no_page_needs_a_cdn(client: TestClient) -> None:
    paths = client.get("/api/openapi.json").json()["paths"]
    assert {"/api/tasks", "/api/tasks/{id}/live", "/api/check", "/api/models/{name}/{version}/download"} <= set(paths)
    assert client.get("/docs").status_code == 404


def test_an_unreachable_tracking_server_gives_a_friendly_page(client: TestClient) -> None:
    answer = client.get("/mlflow/", headers={"Accept": "text/html", "Accept-Language": "zh-CN"})
    assert answer.status_code == 502
    assert "minimind up" in answer.text


def test_static_files_are_compressed_and_kept(client: TestClient) -> None:
    answer = client.get("/assets/plotly-cartesian.min.js?v=4.1.1", headers={"Accept-Encoding": "gzip"})
    assert answer.headers["content-encoding"] == "gzip"
    assert "immutable" in answer.headers["cache-control"]
    again = client.get(
        "/assets/40-app.css", headers={"If-None-Match": client.get("/assets/40-app.css").headers["etag"]}
    )
    assert again.status_code == 304
    assert client.get("/assets/..%2fapp.py").status_code == 404


def test_unknown_pages_say_so_in_their_status(client: TestClient) -> None:
    assert client.get("/nope").status_code == 404
    assert client.get("/tasks/a2").status_code == 200
    assert client.get("/").headers["location"] == "/tasks"
