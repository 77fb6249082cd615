"""The main job in a real browser on the real platform: from the form to a registered model, and to the next one."""

import json
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Page, expect

pytestmark = pytest.mark.browser
LONG = 120_000
"""Milliseconds: a training starts and ends within."""


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int]) -> Iterator[str]:
    """`minimind up` in an empty home, with the sample data that it makes."""
    home, port, tracking_port = tmp_path_factory.mktemp("home"), free_port(), free_port()
    options = ["--home", str(home), "up", "--port", str(port), "--tracking-port", str(tracking_port)]
    command = [sys.executable, "-m", "minimind_platform.cli", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stdout
    told = []
    for line in process.stdout:
        told.append(line)
        if "trainings go on" in line:
            break
    else:
        pytest.fail("the platform did not start:\n" + "".join(told))
    yield f"http://127.0.0.1:{port}"
    for task in api(f"http://127.0.0.1:{port}", "/api/tasks?limit=200")["tasks"]:
        if task["state"] in ("QUEUED", "STARTING", "RUNNING"):
            post(f"http://127.0.0.1:{port}", f"/api/tasks/{task['id']}/stop")
    process.terminate()
    process.wait(30)
    assert not (home / "mlruns" / "platform.lock").exists() or process.returncode == 0


def api(url: str, path: str) -> Any:
    with urllib.request.urlopen(url + path, timeout=20) as answer:
        return json.load(answer)


def post(url: str, path: str) -> None:
    request = urllib.request.Request(url + path, b"{}", {"Content-Type": "application/json"})
    urllib.request.urlopen(request, timeout=20).close()


@pytest.fixture(scope="module")
def page(browser: Browser, url: str) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1440, "height": 900}, locale="en-US")
    context.add_cookies([{"name": "lang", "value": "en", "url": url}])
    yield context.new_page()
    context.close()


def unfold(page: Page, group: str) -> None:
    folded = page.locator(f"#advanced-{group}")
    if not folded.get_attribute("open"):
        folded.locator("summary").click()


def finished(page: Page) -> str:
    """Wait for the end of the task on the page; its id."""
    expect(page.locator("#task-state")).to_have_attribute("data-state", "FINISHED", timeout=LONG)
    return page.url.rstrip("/").rpartition("/")[2].partition("?")[0].partition("#")[0]


def test_01_the_first_start_trains_a_demo_that_the_page_shows_live(page: Page, url: str) -> None:
    page.goto(f"{url}/tasks")
    row = page.locator("tr[data-task]", has_text="demo")
    expect(row).to_be_visible(timeout=20_000)
    row.locator(".task-link").first.click()
    expect(page.locator("#tile-loss")).to_contain_text(re.compile(r"\d\.\d"), timeout=60_000)
    expect(page.locator("#chart-loss .scatterlayer .trace")).not_to_have_count(0)
    first = page.locator("#tile-step").inner_text()
    expect(page.locator("#tile-step")).not_to_have_text(first, timeout=20_000)  # without a reload
    expect(page.locator("#task-log .log-line", has_text="step=")).not_to_have_count(0)
    page.locator("#action-stop").click()
    page.locator("#ask-confirm").click()
    expect(page.locator("#task-state")).to_have_attribute("data-state", "STOPPED", timeout=30_000)


def test_02_all_mistakes_are_shown_at_their_fields(page: Page, url: str) -> None:
    page.goto(f"{url}/new")
    page.locator("#field-epochs").fill("0")
    page.locator("#field-learning_rate").fill("2")
    page.locator("#submit-task").click()
    for name in ("data_path", "epochs", "learning_rate"):
        expect(page.locator(f"#error-{name}")).not_to_be_empty()
    assert page.url.startswith(f"{url}/new")


def test_03_from_the_form_to_a_registered_model(page: Page, url: str) -> None:
    page.goto(f"{url}/new?type=pretrain")
    page.locator("#task-name").fill("first words")
    page.locator("[data-pick=data_path][data-value='dataset/samples/pretrain.jsonl']").click()
    page.locator("#preset label", has_text="tiny").click()
    page.locator("#field-max_steps").fill("10")
    page.locator("#field-batch_size").fill("4")
    page.locator("#field-accumulation_steps").fill("1")
    page.locator("#field-learning_rate").fill("2e-3")
    unfold(page, "output")
    page.locator("#field-eval_interval").fill("5")
    expect(page.locator("#plan-steps")).to_have_text("10", timeout=20_000)
    page.locator("#submit-task").dblclick()
    page.wait_for_url(re.compile(r"/tasks/[0-9a-f]{32}"), timeout=20_000)
    task_id = finished(page)
    tasks = api(url, "/api/tasks?q=first%20words")["tasks"]
    assert [t["id"] for t in tasks] == [task_id], "a double click makes one task"
    expect(page.locator("#tile-step")).to_contain_text("10")
    page.locator("#tab-checkpoints").click()
    expect(page.locator("#panel-checkpoints")).to_contain_text("best", timeout=20_000)
    page.goto(f"{url}/models")
    expect(page.locator("#model-lists")).to_contain_text("minimind-pretrain")
    expect(page.locator("#model-lists")).to_contain_text("pretrain_128.pth")


def test_04_mlflow_has_it_all(page: Page, url: str) -> None:
    [task] = api(url, "/api/tasks?q=first%20words")["tasks"]
    deadline = time.monotonic() + 30
    while api(url, f"/api/tasks/{task['id']}")["unsynced"] and time.monotonic() < deadline:
        time.sleep(0.2)
    run = api(url, f"/mlflow/api/2.0/mlflow/runs/get?run_id={task['id']}")["run"]
    assert run["info"]["status"] == "FINISHED"
    params = {p["key"]: p["value"] for p in run["data"]["params"]}
    assert params["hidden_size"] == "128" and params["max_steps"] == "10"
    metrics = {m["key"] for m in run["data"]["metrics"]}
    assert {"train/loss", "train/learning_rate", "eval/loss", "perf/tokens_per_second"} <= metrics
    files = api(url, f"/mlflow/api/2.0/mlflow/artifacts/list?run_id={task['id']}")["files"]
    assert {"config.json", "log.txt", "checkpoints"} <= {f["path"] for f in files}
    versions = api(url, f"/mlflow/api/2.0/mlflow/model-versions/search?filter=run_id%3D%27{task['id']}%27")
    assert len(versions["model_versions"]) >= 3


def test_05_fine_tuning_starts_from_that_model(page: Page, url: str) -> None:
    page.goto(f"{url}/models")
    page.locator("a[href*='base=models']").first.click()
    page.wait_for_url(re.compile(r"/new\?"))
    page.locator("#task-type input[value=sft]").check()
    page.locator("#task-name").fill("first answers")
    page.locator("[data-pick=data_path][data-value='dataset/samples/sft.jsonl']").click()
    page.locator("#field-max_steps").fill("6")
    page.locator("#field-learning_rate").fill("1e-3")
    page.locator("#submit-task").click()
    page.wait_for_url(re.compile(r"/tasks/[0-9a-f]{32}"), timeout=20_000)
    task_id = finished(page)
    config = api(url, f"/api/tasks/{task_id}")["config"]
    assert config["from_weight"].startswith("models:/minimind-pretrain/")
    assert config["hidden_size"] == 128


def test_06_mlflow_compares_the_two(page: Page, url: str) -> None:
    tasks = [api(url, f"/api/tasks?q=first%20{word}")["tasks"][0] for word in ("words", "answers")]
    runs = quote(json.dumps([t["id"] for t in tasks]))
    experiment = quote(json.dumps([tasks[0]["experiment_id"]]))
    page.goto(f"{url}/mlflow/#/compare-runs?runs={runs}&experiments={experiment}&workflowType=machine_learning")
    for text in ("first words", "first answers", "learning_rate", "max_seq_len"):
        expect(page.get_by_text(text).first).to_be_visible(timeout=30_000)


def test_07_delete_asks_and_can_be_undone(page: Page, url: str) -> None:
    page.goto(f"{url}/tasks")
    row = page.locator("tr[data-task]", has_text="first words")
    row.locator("[data-action=delete]").click()
    page.locator("#ask-confirm").click()
    expect(row).to_have_count(0, timeout=10_000)
    page.locator("#toasts button", has_text=re.compile("undo", re.IGNORECASE)).click()
    expect(row).to_have_count(1, timeout=10_000)


def test_08_the_same_in_chinese(page: Page, url: str) -> None:
    page.goto(f"{url}/set-lang?l=zh&next=/tasks")
    expect(page.locator("html")).to_have_attribute("lang", re.compile("zh"))
    expect(page.locator("tr[data-task]", has_text="first words")).to_contain_text("已完成")
