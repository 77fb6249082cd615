"""The pages in a real browser, against the platform in memory: what a person sees, and what the browser must not do."""

import json
import re
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

sys.path.insert(0, str(Path(__file__).parent))
from browser_site import Checked, Site, shown
from fake_data import HTML

from dash_app.texts import texts
from minimind_platform.errors import NotFoundError, PlatformError
from minimind_platform.views import Dataset

pytestmark = pytest.mark.browser
PAGES = ("/tasks", "/tasks?q=no-such", "/new?type=grpo", "/models", "/tasks/a2", "/tasks/c4", "/tasks/nope", "/nope")
DATA = "dataset/samples/pretrain.jsonl"


@pytest.mark.parametrize(("language", "theme"), [("en", "light"), ("zh", "dark")])
def test_every_page_is_clean_and_accessible(browser: Browser, site: Site, language: str, theme: str) -> None:
    checked = Checked(browser, site, language, theme)
    for path in PAGES:
        shown(checked.page, path)
        assert checked.page.locator("html").get_attribute("lang") == texts(language).html_lang
        checked.page.wait_for_timeout(700)
        checked.accessible()
    checked.close()


def test_a_phone_shows_every_page_without_sideways_scrolling(browser: Browser, site: Site) -> None:
    checked = Checked(browser, site, "zh", width=390)
    for path in PAGES:
        shown(checked.page, path)
        checked.page.wait_for_timeout(400)
        width = checked.page.evaluate("document.documentElement.scrollWidth")
        assert width <= 390, path
    checked.page.locator("#nav-new").click()
    expect(checked.page.locator("#submit-task")).to_be_visible()
    checked.close()


def test_filters_are_in_the_url_and_come_back_from_it(page: Page) -> None:
    shown(page, "/tasks")
    page.locator(".chip[data-state=FAILED]").click()
    expect(page).to_have_url(re.compile(r"\?state=FAILED$"))
    expect(page.locator("#task-list tbody tr")).to_have_count(1)
    page.locator("#task-type-filter").select_option("pretrain")
    expect(page.locator("#clear-filters")).to_be_visible()
    page.locator("#clear-filters").click()
    expect(page).to_have_url(re.compile(r"/tasks$"))
    shown(page, "/tasks?state=RUNNING&type=pretrain&q=512")
    expect(page.locator("#task-list tbody tr")).to_have_count(1)
    expect(page.locator("#task-search")).to_have_value("512")
    expect(page.locator("#task-type-filter")).to_have_value("pretrain")
    page.locator("#nav-tasks").click()
    expect(page.locator("#task-list tbody tr")).to_have_count(25)


def test_paging(page: Page) -> None:
    shown(page, "/tasks")
    page.get_by_label("Next page").click()
    expect(page.locator(".pager")).to_contain_text("26–36 of 36")
    expect(page).to_have_url(re.compile("page=2"))


def test_a_refresh_keeps_focus(page: Page, site: Site) -> None:
    shown(page, "/tasks")
    button = page.locator("tr[data-task^=a2] [data-action=stop]")
    button.focus()
    site.platform._add("77", "newcomer", "sft", site.platform.task("b3").state, time.time(), 0, 0, 128)
    expect(page.locator("tr").filter(has_text="newcomer")).to_be_visible(timeout=5000)
    expect(button).to_be_focused()


def test_delete_asks_and_can_be_undone(page: Page, site: Site) -> None:
    shown(page, "/tasks?q=tiny-first")
    row = page.locator("tr[data-task^=f1]")
    row.locator("[data-action=delete]").click()
    page.locator("#ask-cancel").click()
    expect(row).to_be_visible()
    row.locator("[data-action=delete]").click()
    page.locator("#ask-confirm").click()
    expect(row).to_have_count(0)
    assert site.platform.task("f1").deleted_at
    page.get_by_role("button", name="Undo").click()
    expect(row).to_be_visible()
    assert site.platform.task("f1").deleted_at is None


def test_a_deleted_task_can_be_restored_on_its_page(page: Page, site: Site) -> None:
    site.platform.delete("f1")
    shown(page, "/tasks/f1")
    expect(page.locator("[data-banner=deleted]")).to_be_visible()
    page.locator("#action-restore").click()
    expect(page.locator("[data-banner=deleted]")).to_have_count(0)
    expect(page.locator("#action-retry")).to_be_visible()


def test_stop_and_resume_from_the_list(page: Page, site: Site) -> None:
    shown(page, "/tasks")
    page.locator("tr[data-task^=a2] [data-action=stop]").click()
    page.locator("#ask-confirm").click()
    expect(page.locator("tr[data-task^=a2] .pill")).to_have_text("Stopping")
    page.locator("tr[data-task^=d5] [data-action=resume]").click()
    expect(page.locator("tr[data-task^=d5] .pill")).to_have_text("Queued")


def test_errors_stand_at_their_fields_all_at_once(page: Page) -> None:
    shown(page, "/new")
    page.locator("#field-epochs").fill("many")
    page.locator("#field-hidden_size").fill("100")
    expect(page.locator("#error-epochs")).to_contain_text("whole number")
    expect(page.locator("#error-data_path")).to_be_empty()
    page.locator("#submit-task").click()
    expect(page.locator("#error-data_path")).to_have_text("Required, but empty.")
    expect(page.locator("#error-hidden_size")).to_contain_text("multiple")
    expect(page.locator("#form-summary li")).to_have_count(3)
    expect(page.locator("#field-epochs")).to_have_attribute("aria-invalid", "true")
    page.locator("#form-summary a", has_text="Epochs").click()
    expect(page.locator("#field-epochs")).to_be_focused()
    page.locator("#field-epochs").fill("3")
    expect(page.locator("#error-epochs")).to_be_empty()
    expect(page.locator("#field-epochs")).to_be_focused()


def test_a_double_click_makes_one_task_and_leads_to_it(page: Page, site: Site) -> None:
    before = len(site.platform.all)
    shown(page, "/new")
    page.locator("#task-name").fill(HTML)
    page.locator(f"[data-value='{DATA}']").click()
    expect(page.locator("#field-data_path")).to_have_value(DATA)
    expect(page.locator("#plan-steps")).to_have_text("20,000")
    page.locator("#submit-task").dblclick()
    expect(page.locator("#task-state")).to_have_text("Queued")
    expect(page.locator("#task-name-text")).to_have_text(HTML)
    assert len(site.platform.all) == before + 1


def test_a_double_click_on_retry_makes_one_task(page: Page, site: Site) -> None:
    slow = site.platform.retry

    def retry(id: str, key: str = "") -> Any:  # noqa: A002
        time.sleep(0.5)
        return slow(id, key)

    site.platform.retry = retry  # type: ignore[method-assign]
    shown(page, "/tasks?q=tiny-first")
    button = page.locator("tr[data-task^=f1] [data-action=retry]")
    before = len(site.platform.all)
    button.dblclick()
    expect(page.locator("tr[data-task] .task-link", has_text="tiny-first-try-2")).to_have_count(1)
    page.wait_for_timeout(1_000)
    assert len(site.platform.all) == before + 1
    expect(button).to_be_focused()
    button.click()
    expect(page.locator("tr[data-task] .task-link", has_text="tiny-first-try-2")).to_have_count(2)


@pytest.mark.parametrize(("error", "goes_on"), [(PlatformError("Odd."), True), (NotFoundError("Gone."), False)])
def test_only_a_task_that_is_gone_ends_its_live_page(
    browser: Browser, site: Site, error: PlatformError, goes_on: bool
) -> None:
    page = browser.new_page(base_url=site.url)
    shown(page, "/tasks/a2")
    found = site.platform.task

    def task(_id: str) -> Any:
        raise error

    site.platform.task = task  # type: ignore[method-assign]
    expect(page.locator("[data-banner=offline]")).to_contain_text(error.message)
    site.platform.task = found  # type: ignore[method-assign]
    page.wait_for_timeout(2_500)
    expect(page.locator("[data-banner=offline]")).to_have_count(0 if goes_on else 1)
    page.close()


def test_ctrl_enter_submits_what_was_just_typed(page: Page, site: Site) -> None:
    shown(page, "/new")
    page.locator("#field-data_path").fill(DATA)
    page.locator("#field-epochs").fill("9")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#task-state")).to_have_text("Queued")
    assert max(site.platform.all.values(), key=lambda t: t.created_at).config["epochs"] == 9


def test_type_and_preset_change_defaults_but_not_what_was_typed(page: Page) -> None:
    shown(page, "/new")
    page.locator("#field-batch_size").fill("7")
    page.locator("label", has_text="Supervised fine-tuning").click()
    expect(page.locator("#field-learning_rate")).to_have_value("1e-5")
    expect(page.locator("#field-batch_size")).to_have_value("7")
    page.locator("#preset label", has_text="tiny").click()
    expect(page.locator("#field-hidden_size")).to_have_value("128")
    page.locator("#field-hidden_size").fill("136")
    expect(page.locator("#preset input[value='']")).to_be_checked()
    expect(page.locator("#starts")).to_be_hidden()
    page.locator("#task-type input[value=grpo]").check()
    expect(page.locator("#presets")).to_be_hidden()
    expect(page.locator("#label-max_seq_len")).to_contain_text("Longest prompt")
    page.locator("#start").select_option("short-answers")
    expect(page.locator("#field-max_gen_len")).to_have_value("32")
    expect(page.locator(".reward-card")).to_have_count(1)
    page.locator("#field-num_generations").fill("4")
    expect(page.locator("#start")).to_have_value("")
    expect(page.locator("#field-max_gen_len")).to_have_value("32")


def test_from_rewards_to_samples(page: Page, site: Site) -> None:
    site.platform.data.append(Dataset("dataset/sums.jsonl", "sums.jsonl", 2_000, 20, "rlaif", time.time()))
    shown(page, "/new?data=dataset/sums.jsonl")
    expect(page.locator("#group-rewards")).to_be_hidden()
    page.locator("#task-type input[value=grpo]").check()
    expect(page.locator(".reward-card")).to_have_count(2)
    text = page.locator("#field-rewards")
    untouched = text.input_value()
    page.locator("#reward-add").press("Enter")
    expect(page.locator("#reward-3-kind")).to_be_focused()
    page.locator("#reward-3-kind").select_option("regex")
    expect(page.locator("#reward-3-pattern-error")).to_have_text("Required, but empty.")
    page.locator("#reward-3-pattern").fill("^yes")
    expect(page.locator("#reward-3-pattern-error")).to_be_empty()
    page.locator("#reward-1-remove").click()
    expect(page.locator("#reward-2-pattern")).to_have_value("^yes")
    page.locator(".toast-box button", has_text="Undo").click()
    expect(page.locator(".reward-card")).to_have_count(3)
    page.locator("#reward-3-remove").click()
    expect(text).to_have_value(untouched)
    page.locator("#reward-2-weight").fill("0.25")
    page.locator("#submit-task").click()
    expect(page.locator("#task-state")).to_have_text("Queued")
    page.locator("#tab-settings").click()
    expect(page.locator("#settings-table .changed", has_text="rewards")).to_contain_text("repetition ×0.25")

    page.locator("#tab-samples").click()
    expect(page.locator("#samples-rows")).to_contain_text("No samples yet")
    file = site.platform.samples_file(page.url.split("/")[-1].partition("#")[0])
    file.parent.mkdir(parents=True)
    sample = {"prompt": HTML, "completion": "word " * 99, "gt": ["4"], "rewards": {"answer": 1.0}, "advantage": 0.5}
    rows = [sample | {"step": step, "reward": step % 3, "tokens": 99, "ended": False} for step in range(1, 31)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    expect(page.locator("#samples-rows tbody tr")).to_have_count(20, timeout=10_000)
    first = page.locator("#samples-rows tbody tr").first
    expect(first).to_contain_text(HTML)
    first.locator(".sample-more").click()
    expect(first.locator(".sample-more")).to_have_attribute("aria-expanded", "true")
    page.locator("#samples-older").click()
    expect(page.locator("#samples-pager")).to_contain_text("steps 1–10")
    page.locator("#samples-order").select_option("most")
    page.locator("#samples-last_step").fill("9")
    expect(page.locator("#samples-rows tbody tr")).to_have_count(9)
    expect(first).to_contain_text("2")


def test_train_from_this_and_clone_fill_in_the_form(page: Page) -> None:
    shown(page, "/models")
    page.get_by_title("Train from minimind-pretrain / 7").click()
    expect(page.locator("#field-from_weight")).to_have_value("models:/minimind-pretrain/7")
    expect(page.locator("#task-type input[value=sft]")).to_be_checked()
    page.locator("[data-value='dataset/samples/sft.jsonl']").click()
    page.locator("#submit-task").click()
    expect(page.locator("#task-state")).to_have_text("Queued")
    shown(page, "/tasks/a2")
    page.locator("#action-clone").click()
    expect(page.locator("#task-name")).to_have_value("pretrain-512d-8l")
    expect(page.locator("#field-hidden_size")).to_have_value("512")


def test_the_task_page_lives(page: Page, site: Site) -> None:
    shown(page, "/tasks/a2")
    expect(page.locator("#chart-loss .trace")).to_have_count(4)
    step = page.locator("#tile-step")
    before = step.inner_text()
    expect(step).not_to_have_text(before, timeout=5000)
    expect(page.locator("#tile-speed")).to_have_text("41,437")
    expect(page.locator(".log-line").last).to_contain_text("step=")
    points = "document.querySelector('#chart-loss').data[2].x"
    count, last = page.evaluate(f"[{points}.length, {points}.at(-1)]")
    page.wait_for_timeout(4500)
    more = page.evaluate(points)
    assert len(more) > count
    assert more == sorted(set(more))
    assert more[count - 1] == last


def test_an_update_asks_only_for_what_is_new(page: Page) -> None:
    shown(page, "/tasks/a2")
    expect(page.locator("#chart-loss .trace")).to_have_count(4)
    page.wait_for_timeout(1500)
    with page.expect_response(re.compile("/live")) as caught:
        pass
    assert len(caught.value.body()) < 4_000


def test_following_pauses_when_scrolled_up(page: Page) -> None:
    shown(page, "/tasks/a2")
    expect(page.locator(".log-line").first).to_be_visible()
    page.locator("#task-log").evaluate("box => { box.scrollTop = 0; }")
    expect(page.locator("#log-follow")).to_have_attribute("aria-pressed", "false")
    page.wait_for_timeout(1500)
    assert page.locator("#task-log").evaluate("box => box.scrollTop") == 0
    page.locator("#log-follow").click()
    expect(page.locator("#log-follow")).to_have_attribute("aria-pressed", "true")
    assert page.locator(".log-line").count() == 800


def test_a_failed_task_says_why_and_html_stays_text(page: Page) -> None:
    shown(page, "/tasks/c4")
    expect(page.locator("[data-banner=failed]")).to_contain_text(HTML)
    expect(page.locator("[data-banner=failed]")).to_contain_text("Lower learning_rate")
    expect(page.locator(".log-line").last).to_contain_text("<script>alert(2)</script>")
    expect(page.locator("#action-resume")).to_be_visible()
    page.locator("#tab-history").click()
    expect(page.locator("#task-history")).to_contain_text(HTML)
    assert page.locator("img[src=x]").count() == 0


def test_a_resume_that_changed_data_refused_can_be_forced_after_a_warning(page: Page, site: Site) -> None:
    task, asked = site.platform.task("c4"), []
    site.platform.all[task.id] = replace(task, error_class="data_changed")
    resume = site.platform.resume

    def recorded(id: str, force: bool = False) -> Any:  # noqa: A002
        asked.append(force)
        return resume(id, force)

    site.platform.resume = recorded  # type: ignore[method-assign]
    shown(page, "/tasks/c4")
    expect(page.locator("#action-resume")).to_be_visible()
    page.locator("#action-resume_anyway").click()
    expect(page.locator("dialog")).to_contain_text("do not compare")
    page.locator("#ask-cancel").click()
    assert asked == []
    page.locator("#action-resume_anyway").press("Enter")
    page.locator("#ask-confirm").click()
    expect(page.locator("#task-state")).to_have_text("Queued")
    assert asked == [True]


def test_from_one_task_to_another_nothing_stays_behind(page: Page, site: Site) -> None:
    shown(page, "/tasks/a2")
    expect(page.locator("#chart-loss .trace")).to_have_count(4)
    page.locator("#nav-tasks").click()
    page.locator("tr[data-task^=b3] .task-link").click()
    expect(page.locator("#task-name-text")).to_have_text("sft-answers-zh")
    expect(page.locator("#chart-loss .trace")).to_have_count(0)
    expect(page.locator("#tile-step")).to_have_text("–")
    expect(page.locator("[data-banner=waits]")).to_contain_text("held by")
    page.go_back()
    expect(page.locator("#task-list tbody tr")).to_have_count(25)


def test_an_absent_tracking_server_is_told_and_the_page_goes_on(page: Page, site: Site) -> None:
    shown(page, "/tasks/a2")
    expect(page.locator("#chart-loss .trace")).to_have_count(4)
    site.platform.tracking = site.platform.scheduler = False
    expect(page.locator("[data-banner=tracking]")).to_contain_text("training goes on")
    expect(page.locator("[data-banner=scheduler]")).to_be_visible()
    site.platform.tracking = site.platform.scheduler = True
    expect(page.locator("[data-banner=tracking]")).to_have_count(0)


def test_a_page_survives_a_restart_of_the_web_app(browser: Browser, site: Site) -> None:
    checked = Checked(browser, site)
    shown(checked.page, "/tasks/a2")
    expect(checked.page.locator("#chart-loss .trace")).to_have_count(4)
    checked.page.route("**/live?*", lambda route: route.abort())
    expect(checked.page.locator("[data-banner=offline]")).to_contain_text("Trainings go on")
    checked.page.unroute("**/live?*")
    expect(checked.page.locator("[data-banner=offline]")).to_have_count(0)
    checked.faults = [fault for fault in checked.faults if "ERR_FAILED" not in fault]
    checked.close()


def test_tabs_by_keyboard_and_link(page: Page) -> None:
    shown(page, "/tasks/f1")
    page.locator("#tab-overview").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#panel-settings")).to_be_visible()
    page.locator("#only-changed").click()
    expect(page.locator("#settings-table tbody tr:visible")).to_have_count(2)
    shown(page, "/tasks/f1#checkpoints")
    expect(page.locator("#task-checkpoints tbody tr")).to_have_count(3)


def test_theme_and_language_switch_and_stay(page: Page) -> None:
    shown(page, "/tasks?q=tiny")
    html = page.locator("html")
    expect(html).to_have_attribute("data-bs-theme", "light")
    page.locator("#theme-toggle").click()
    page.locator("#theme-toggle").click()
    expect(html).to_have_attribute("data-bs-theme", "dark")
    page.locator("#language-link").click()
    expect(page.locator("h1")).to_have_text("任务")
    expect(page).to_have_url(re.compile(r"/tasks\?q=tiny$"))
    expect(html).to_have_attribute("data-bs-theme", "dark")
    expect(html).to_have_attribute("lang", "zh-CN")


def test_an_empty_installation_invites_to_the_first_task(browser: Browser, site: Site) -> None:
    site.platform.all.clear()
    site.platform.versions.clear()
    site.platform.files.clear()
    checked = Checked(browser, site, "zh")
    shown(checked.page, "/tasks")
    expect(checked.page.locator(".empty")).to_contain_text("还没有任务")
    shown(checked.page, "/models")
    expect(checked.page.locator(".empty")).to_contain_text("还没有模型")
    checked.close()


def test_model_search(page: Page) -> None:
    shown(page, "/models")
    page.locator("#model-search").fill("sft")
    expect(page.locator(".list tbody tr")).to_have_count(2)
    page.locator("#model-search").fill("nothing at all")
    expect(page.locator(".none-match")).to_be_visible()
