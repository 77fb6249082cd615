"""REST about the trash and this machine."""

from fake_platform import FakePlatform
from fastapi.testclient import TestClient

from minimind_platform.tasks import ACTIVE, ENDED, Task


def one(platform: FakePlatform, *, active: bool = False) -> Task:
    states = ACTIVE if active else ENDED
    return next(task for task in platform.all.values() if task.state in states and task.deleted_at is None)


def test_what_deleting_costs_is_told_before_and_after(client: TestClient, platform: FakePlatform) -> None:
    task = one(platform)
    platform.trash.need(task, one(platform, active=True))
    told = client.get("/api/trash/cost", params={"id": task.id}).json()
    assert told["bytes"] > 0
    assert [(need["need"], need["ended"], need["on"]) for need in told["dependents"]] == [("weights", False, task.id)]
    assert client.get("/api/trash/cost", params={"id": "nope"}).status_code == 404
    client.delete(f"/api/tasks/{task.id}")
    (item,) = client.get("/api/trash").json()["items"]
    assert (item["id"], item["bytes"], item["kind"]) == (task.id, told["bytes"], "task")
    refused = client.post("/api/trash/purge", json={"ids": [task.id]})
    assert refused.status_code == 409
    assert refused.json()["hint"]
    kept = client.post("/api/trash/empty", json={"older_than_days": 0}).json()
    assert kept["job"] is None
    assert [need["on"] for need in kept["kept"]] == [task.id]


def test_a_removal_is_a_job_and_needs_the_tracking_server(client: TestClient, platform: FakePlatform) -> None:
    task = one(platform)
    platform.delete(task.id)
    platform.tracking = False
    assert client.post("/api/trash/purge", json={"ids": [task.id]}).status_code == 503
    platform.tracking = True
    begun = client.post("/api/trash/purge", json={"ids": [task.id]}).json()
    assert (begun["job"]["state"], begun["count"]) == ("running", 1)
    for body in ({"ids": []}, {}, {"ids": ["x"] * 1001}):
        assert client.post("/api/trash/purge", json=body).status_code == 422
    assert client.post("/api/trash/empty", json={"older_than_days": -1}).status_code == 422


def test_the_machine_tells_only_what_is_new_of_its_history(client: TestClient, platform: FakePlatform) -> None:
    first = client.get("/api/system").json()
    assert len(first["history"]["times"]) == 250
    assert [gpu["power"] for gpu in first["gpus"]] == [512.3, None]
    news = client.get("/api/system", params={"since": first["history"]["times"][-3]}).json()["history"]
    assert len(news["times"]) <= 3
    assert client.get("/api/system", params={"since": "nan"}).status_code == 422
    assert [one["kind"] for one in client.get("/api/system/warnings").json()] == ["low_disk", "idle_gpu"]
