"""REST of sweeps."""

from dataclasses import replace

import pytest
from fake_platform import FakePlatform
from fastapi.testclient import TestClient

from dash_app.rest_sweeps import CHARTS
from minimind_platform.sweeps.views import SweepState, TrialState

BODY = {
    "type": "sft",
    "values": {"data_path": "dataset/samples/sft.jsonl"},
    "search": {"learning_rate": {"low": "1e-5", "high": "1e-3", "log": True}, "batch_size": {"choices": ["8", "16"]}},
    "options": {"n_trials": "12", "pruner": "none"},
}


def test_sweeps_are_filtered(client: TestClient) -> None:
    body = client.get("/api/sweeps").json()
    assert [sweep["name"] for sweep in body["sweeps"]][:2] == ["just-begun", "lr-and-batch"]
    assert body["total"] == 4 and "search" not in body["sweeps"][0]
    paused = client.get("/api/sweeps", params={"state": "PAUSED"}).json()["sweeps"]
    assert [sweep["name"] for sweep in paused] == ["paused-one"]
    assert client.get("/api/sweeps", params={"q": "batch lr"}).json()["total"] == 1
    assert client.get("/api/sweeps", params={"state": "ASLEEP"}).status_code == 422


def test_a_key_makes_one_sweep(client: TestClient, platform: FakePlatform) -> None:
    answers = [client.post("/api/sweeps", json=BODY | {"name": "once", "key": "k1"}) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json()["id"] == answers[1].json()["id"]
    sweep = platform.sweeps.get("once")
    assert sweep.spec.n_trials == 12 and sweep.spec.params[0].log and sweep.spec.params[1].choices == (8, 16)


@pytest.mark.parametrize(("language", "told"), [("", "is above"), ("zh-CN,zh", "大于上限")])
def test_all_problems_are_told_at_once_in_the_language_of_a_browser(
    client: TestClient, language: str, told: str
) -> None:
    body = BODY | {
        "search": {"learning_rate": {"low": 1, "high": 0.5}, "nope": None, "batch_size": {"choices": ["many"]}},
        "options": {"n_trials": 0, "sampler": "guess"},
    }
    headers = {"Accept-Language": language} if language else {}
    answer = client.post("/api/sweeps", json=body, headers=headers)
    assert answer.status_code == 422
    problems = {problem["field"]: problem["message"] for problem in answer.json()["problems"]}
    assert set(problems) == {"search.learning_rate", "search.nope", "search.batch_size", "n_trials", "sampler"}
    assert told in problems["search.learning_rate"]


def test_a_check_makes_nothing(client: TestClient, platform: FakePlatform) -> None:
    before = len(platform.sweeps.all)
    grid = {"learning_rate": {"choices": [1e-4, 1e-3]}, "packing": None}
    body = client.post("/api/sweeps/check", json=BODY | {"search": grid}).json()
    assert body["problems"] == [] and body["combinations"] == 4 and body["preflight"]["steps"] == 20_000
    assert body["search"]["packing"] == {"choices": [False, True]}
    empty = client.post("/api/sweeps/check", json={"type": "sft"}).json()
    assert {problem["code"] for problem in empty["problems"]} >= {"empty_space", "missing"}
    assert len(platform.sweeps.all) == before


def test_what_can_be_searched_is_told(client: TestClient) -> None:
    body = client.get("/api/sweeps/types/sft").json()
    assert body["settings"]["learning_rate"] == {"low": 1e-6, "high": 5e-3, "log": True}
    assert body["settings"]["max_seq_len"] is None and body["metrics"][0] == "eval/loss"
    assert "sampler" in {option["name"] for option in client.get("/api/sweeps/options").json()}


def test_one_sweep_has_all_of_its_trials(client: TestClient) -> None:
    body = client.get("/api/sweeps/lr-and-batch").json()
    assert len(body["trials"]) == 30 and body["search"]["learning_rate"]["log"] is True
    assert body["trials"][0]["intermediate"]["2"] > 2 and body["objectives"][0]["metric"] == "eval/loss"
    assert client.get("/api/sweeps/nope").status_code == 404
    place = client.get("/api/sweeps/51/compare").headers["location"]
    assert place.startswith("/mlflow/#/compare-runs?runs=%5B%22") and "experiments=" in place
    assert client.get("/api/sweeps/51/importance").json()["learning_rate"] == 0.62


def test_a_live_answer_holds_only_trials_that_changed(client: TestClient, platform: FakePlatform) -> None:
    first = client.get("/api/sweeps/51/live").json()
    assert len(first["trials"]) == 30 and first["whole"] and "intermediate" not in first["trials"][0]
    again = client.get("/api/sweeps/51/live", params={"since": first["since"]})
    assert again.json()["trials"] == [] and not again.json()["whole"] and len(again.content) < 1_200
    id_ = platform.sweeps.by_name("lr-and-batch")
    made = platform.sweeps.made[id_]
    made[28] = replace(made[28], intermediate=made[28].intermediate | {56: 2.5}, step=224)
    platform.sweeps.add_trial_as(id_, TrialState.RUNNING)
    then = client.get("/api/sweeps/51/live", params={"since": first["since"]}).json()
    assert [trial["number"] for trial in then["trials"]] == [28, 30] and then["sweep"]["counts"]["RUNNING"] == 3
    other = client.get("/api/sweeps/51/live", params={"since": first["since"]}).json()
    assert [trial["number"] for trial in other["trials"]] == [28, 30]  # another page that is as far behind
    for odd in ("", "nonsense", "00000000-9", "x-y"):
        assert client.get("/api/sweeps/51/live", params={"since": odd}).json()["whole"]


def test_actions_and_their_conflicts(client: TestClient, platform: FakePlatform) -> None:
    assert client.post("/api/sweeps/51/stop").json()["state"] == SweepState.STOPPED
    assert client.post("/api/sweeps/51/stop").status_code == 409
    assert client.post("/api/sweeps/51/resume").json()["state"] == SweepState.RUNNING
    assert client.delete("/api/sweeps/51").json()["deleted_at"]
    assert client.get("/api/sweeps").json()["total"] == 3
    assert client.post("/api/sweeps/51/restore").json()["deleted_at"] is None
    more = client.post("/api/sweeps/53/extend", json={"n_trials": 6, "parallel": 3}).json()
    assert (more["planned"], more["parallel"], more["state"]) == (30, 3, "RUNNING")
    assert client.post("/api/sweeps/53/extend", json={"n_trials": 0}).status_code == 422


def test_trials_are_excluded_and_added(client: TestClient, platform: FakePlatform) -> None:
    best = platform.sweeps.get("51").best[0]
    assert client.post(f"/api/sweeps/51/trials/{best}/exclude", json={}).json()["excluded"]
    assert platform.sweeps.get("51").best[0] != best
    assert not client.post(f"/api/sweeps/51/trials/{best}/exclude", json={"excluded": False}).json()["excluded"]
    assert client.post("/api/sweeps/51/trials/999/exclude", json={}).status_code == 404
    params = {"learning_rate": "2e-4", "batch_size": "8", "warmup_steps": "0", "packing": "true"}
    added = client.post("/api/sweeps/51/trials", json={"params": params})
    assert added.status_code == 201 and added.json()["by_hand"] and added.json()["state"] == TrialState.WAITING
    missing = client.post("/api/sweeps/51/trials", json={"params": {"packing": "true"}})
    assert {problem["field"] for problem in missing.json()["problems"]} == set(params) - {"packing"}


def test_promote_makes_a_task_once_for_a_key(client: TestClient, platform: FakePlatform) -> None:
    body = {"values": {"epochs": "9"}, "name": "full", "key": "p1"}
    first, second = client.post("/api/sweeps/51/promote", json=body), client.post("/api/sweeps/51/promote", json=body)
    assert first.status_code == 201 and first.json()["id"] == second.json()["id"]
    trial = platform.sweeps.trials("51")[platform.sweeps.get("51").best[0]]
    assert first.json()["config"]["epochs"] == 9
    assert first.json()["config"]["learning_rate"] == trial.params["learning_rate"]
    assert client.post("/api/sweeps/52/promote", json={}).status_code == 409


@pytest.mark.parametrize("sweep", ["51", "52", "53", "54"])
def test_every_chart_is_made_in_the_language_of_the_page(client: TestClient, sweep: str) -> None:
    client.cookies.set("lang", "zh")
    query = {"show": list(CHARTS), "x": "learning_rate", "y": "batch_size", "objective": 3}
    figures = client.get(f"/api/sweeps/{sweep}/charts", params=query).json()
    assert list(figures) == list(CHARTS)
    assert all("empty" in figure or (figure["data"] and figure["layout"]) for figure in figures.values())
    if sweep == "51":
        assert "试验 3" in str(figures["history"])
        assert [name for name, figure in figures.items() if "empty" in figure] == ["front"]
    assert client.get(f"/api/sweeps/{sweep}/charts", params={"show": "pie"}).status_code == 422
