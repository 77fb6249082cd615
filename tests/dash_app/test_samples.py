"""What the model answered, on a task's page and over REST."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fake_data import HTML
from fake_platform import FakePlatform
from fastapi.testclient import TestClient

from dash_app.pages import task
from dash_app.texts import LANGUAGES, texts


@pytest.fixture
def rewarded(platform: FakePlatform, monkeypatch: pytest.MonkeyPatch) -> FakePlatform:
    """A platform on which type sft is trained by rewards."""
    types = platform.training_types()
    types["sft"] = replace(types["sft"], data_format="rlaif")
    monkeypatch.setattr(platform, "training_types", lambda: types)
    return platform


def write(path: Path, count: int) -> None:
    rows = [
        {"step": n, "prompt": HTML, "completion": "几" * n, "gt": ["4"], "reward": n % 5, "rewards": {"answer": n % 5},
         "advantage": None if n == 2 else 0.5, "tokens": n, "ended": n != 3, "problem": ""}
        for n in range(1, count + 1)
    ]  # fmt: skip
    path.parent.mkdir(parents=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + '{"step": 99, "pro')


def parts(page: Any) -> str:
    return json.dumps(page.to_plotly_json(), default=lambda part: part.to_plotly_json(), ensure_ascii=False)


@pytest.mark.parametrize("language", LANGUAGES)
def test_only_trainings_by_rewards_have_samples(rewarded: FakePlatform, language: str) -> None:
    t = texts(language)
    shown = parts(task.layout(rewarded, "e6", t))  # type: ignore[arg-type]
    for name in ("tab-samples", "panel-samples", "samples-order", "samples-first_step", "samples-rows"):
        assert f'"id": "{name}"' in shown
    assert t("samples.most") in shown and f"/api/tasks/{rewarded.task('e6').id}/samples/download" in shown
    assert '"id": "tab-samples"' not in parts(task.layout(rewarded, "a2", t))  # type: ignore[arg-type]


def test_samples_come_in_pages_and_by_filter(client: TestClient, platform: FakePlatform) -> None:
    write(platform.samples_file("e6"), 30)

    def get(**query: Any) -> Any:
        return client.get("/api/tasks/e6/samples", params=query).json()

    first = get(limit=20)
    assert [sample["step"] for sample in first["samples"]] == list(range(30, 10, -1))
    second = get(limit=20, before=first["older"])
    assert [sample["step"] for sample in second["samples"]] == list(range(10, 0, -1)) and second["older"] is None
    assert [sample["step"] for sample in get(low=4, first_step=10, last_step=20)["samples"]] == [19, 14]
    assert [sample["reward"] for sample in get(order="least", limit=7)["samples"]] == [0, 0, 0, 0, 0, 0, 1]
    assert second["samples"][8]["advantage"] is None


@pytest.mark.parametrize("query", ["low=nan", "order=best", "limit=0", "before=-1", "first_step=x"])
def test_a_malformed_query_is_a_problem_and_no_crash(client: TestClient, query: str) -> None:
    assert client.get(f"/api/tasks/e6/samples?{query}").status_code == 422


def test_before_the_first_sample_there_is_an_empty_page(client: TestClient) -> None:
    assert client.get("/api/tasks/e6/samples").json() == {"samples": [], "older": None, "size": 0}
    gone = client.get("/api/tasks/e6/samples/download")
    assert gone.status_code == 404 and "no samples yet" in gone.json()["error"]
    assert client.get("/api/tasks/nope/samples").status_code == 404


def test_all_samples_download(client: TestClient, platform: FakePlatform) -> None:
    file = platform.samples_file("e6")
    write(file, 3)
    answer = client.get("/api/tasks/e6/samples/download")
    assert answer.content == file.read_bytes()
    assert f"{platform.task('e6').id}-samples.jsonl" in answer.headers["content-disposition"]
