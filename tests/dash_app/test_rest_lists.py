"""The list of tasks over REST: its order and pages, shared answers, what is put away, the queue, many at once."""

import threading
from typing import Any

import pytest
from fake_data import HTML
from fake_platform import FakePlatform
from fastapi.testclient import TestClient

from dash_app.shared_answers import MOST_QUESTIONS, SharedAnswers
from minimind_platform.tasks import Difference, State


def names(client: TestClient, query: str) -> list[str]:
    return [task["name"] for task in client.get(f"/api/tasks?{query}").json()["tasks"]]


def test_a_list_is_sorted_filtered_and_paged(client: TestClient, platform: FakePlatform) -> None:
    assert names(client, "sort=name&descending=false&limit=2") == sorted(t.name for t in platform.all.values())[:2]
    assert names(client, "sort=name&limit=1&offset=35") == names(client, "sort=name&descending=false&limit=1")
    made = platform.task("a2").created_at
    assert "pretrain-512d-8l" in names(client, f"until={made}")
    assert "sft-answers-zh" not in names(client, f"until={made}")
    answer = client.get("/api/tasks?sort=speed")
    assert answer.status_code == 422
    assert answer.json()["problems"][0]["field"] == "sort"


def test_a_row_carries_what_the_list_shows(client: TestClient, platform: FakePlatform) -> None:
    from dataclasses import replace

    task = platform.task("f1")
    differs = (Difference("learning_rate", 5e-4, 1e-05), Difference("rewards", None, [{"kind": HTML}]))
    progress = replace(task.progress, trend=(8.0, 7.5))
    platform.all[task.id] = replace(task, differs=differs, progress=progress)
    [row] = client.get("/api/tasks?q=tiny-first").json()["tasks"]
    assert row["trend"] == [8.0, 7.5]
    assert row["differs"][0] == {"name": "learning_rate", "before": "0.0005", "after": "1e-5"}
    assert row["differs"][1]["before"] == "–" and HTML.replace('"', '\\"') in row["differs"][1]["after"]
    assert row["turn"] == 0 and "config" not in row
    [queued] = client.get("/api/tasks?q=answers").json()["tasks"]
    assert queued["turn"] == 1
    assert "trend" not in client.get("/api/tasks/f1").json()["progress"]


def test_who_has_the_answer_gets_none(client: TestClient, platform: FakePlatform) -> None:
    first = client.get("/api/tasks?state=FINISHED")
    mark = {"If-None-Match": first.headers["etag"]}
    assert client.get("/api/tasks?state=FINISHED", headers=mark).status_code == 304
    platform.archive("f1")
    fresh = client.get("/api/tasks?state=FINISHED", headers=mark | {"Cache-Control": "no-cache"})
    assert fresh.status_code == 200 and fresh.headers["etag"] != first.headers["etag"]
    assert fresh.json()["total"] == first.json()["total"] - 1


def test_many_browsers_share_one_answer() -> None:
    state, made = [1], []
    shared = SharedAnswers(lambda: state[0])

    def ask(headers: dict[str, str] | None = None) -> Any:
        return shared.respond("tasks", lambda: made.append(1) or {"made": len(made)}, headers or {})

    threads = [threading.Thread(target=ask) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == [1]
    ask({"cache-control": "no-cache"})
    assert made == [1]  # nobody has written, so there is nothing to read
    state[0] = 2
    assert ask({"cache-control": "no-cache"}).body == b'{"made":2}'
    for number in range(MOST_QUESTIONS):
        shared.respond(number, dict, {})
    assert ask().body == b'{"made":3}'  # the oldest questions are forgotten


def test_archive_and_back(client: TestClient, platform: FakePlatform) -> None:
    assert client.post("/api/tasks/f1/archive").json()["archived_at"]
    assert names(client, "q=tiny-first") == []
    assert names(client, "q=tiny-first&archived=true") == ["tiny-first-try"]
    assert client.post("/api/tasks/f1/unarchive").json()["archived_at"] is None
    refused = client.post("/api/tasks/a2/archive")
    assert refused.status_code == 409 and "running" in refused.json()["error"]


def test_the_order_of_the_queue(client: TestClient, platform: FakePlatform) -> None:
    other = platform.submit("sft", {"data_path": "dataset/samples/sft.jsonl", "from_weight": "none"}, name="second")
    path = f"/api/tasks/{other.id}/priority"
    assert client.post(path, json={"place": "first"}).json()["turn"] == 1
    assert client.post(path, json={"priority": 7}).json()["priority"] == 7
    assert client.post("/api/tasks/b3/priority", json={"before": other.id}).json()["turn"] == 1
    assert names(client, "state=QUEUED&sort=turn&descending=false") == ["sft-answers-zh", "second"]
    assert client.post("/api/tasks/a2/priority", json={"place": "up"}).status_code == 409
    assert client.post(path, json={"place": "up", "priority": 3}).status_code == 400
    assert client.post(path, json={"place": "middle"}).status_code == 422


def test_many_tasks_at_once_with_a_result_each(client: TestClient, platform: FakePlatform) -> None:
    ids = [platform.task(id).id for id in ("a2", "b3", "f1")]  # noqa: A001
    answer = client.post("/api/tasks/bulk", json={"action": "stop", "ids": [*ids, ids[0], "nobody"]}).json()
    assert (answer["done"], answer["failed"]) == (2, 2)
    assert [result["ok"] for result in answer["results"]] == [True, True, False, False]
    assert answer["results"][0] == {"id": ids[0], "ok": True, "name": "pretrain-512d-8l", "state": "STOPPING"}
    assert "finished" in answer["results"][2]["error"] and "nobody" in answer["results"][3]["error"]
    assert platform.task("b3").state == State.STOPPED
    assert client.post("/api/tasks/bulk", json={"action": "delete", "ids": [ids[2]]}).json()["done"] == 1
    assert client.post("/api/tasks/bulk", json={"action": "restore", "ids": [ids[2]]}).json()["done"] == 1


@pytest.mark.parametrize("body", [{"action": "purge", "ids": ["a2"]}, {"action": "stop", "ids": []}, {"ids": ["a2"]}])
def test_a_wish_for_many_must_be_clear(client: TestClient, body: dict[str, Any]) -> None:
    assert client.post("/api/tasks/bulk", json=body).status_code == 422
