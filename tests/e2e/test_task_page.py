"""The page of a task in a real browser, against the platform in memory: it lives, and survives what is around it."""

import re
import time
from dataclasses import replace
from typing import Any

import pytest
from browser_site import Checked, Site, shown
from fake_data import HTML
from playwright.sync_api import Browser, Page, expect

from minimind_platform.errors import NotFoundError, PlatformError

pytestmark = pytest.mark.browser
BEGIN = 1_764_000_000


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


def test_the_task_page_lives(page: Page, site: Site) -> None:
    shown(page, "/tasks/a2")
    expect(page.locator("#chart-loss .trace .lines path").first).to_be_visible()
    step = page.locator("#tile-step")
    before = step.inner_text()
    expect(step).not_to_have_text(before, timeout=5000)
    expect(page.locator("#tile-speed")).to_have_text("41,437")
    expect(page.locator(".log-piece .log-line").last).to_contain_text("step=")
    trace = "document.querySelector('#chart-loss').data[2]"
    count, last = page.evaluate(f"[{trace}.x.length, {trace}.customdata.at(-1)]")
    page.wait_for_timeout(4500)
    more, newest = page.evaluate(f"[{trace}.x, {trace}.customdata.at(-1)]")
    assert len(more) >= count and newest > last
    assert more == sorted(set(more))


def test_an_update_asks_only_for_what_is_new(page: Page) -> None:
    shown(page, "/tasks/a2")
    expect(page.locator("#chart-loss .trace .lines path").first).to_be_visible()
    page.wait_for_timeout(1500)
    with page.expect_response(re.compile("/live")) as caught:
        pass
    assert len(caught.value.body()) < 4_000


def test_following_pauses_when_scrolled_up(page: Page) -> None:
    shown(page, "/tasks/a2")
    expect(page.locator(".log-line").first).to_be_visible()
    page.locator("#task-log").evaluate("box => { box.scrollTop = box.scrollHeight / 2; }")
    expect(page.locator("#log-follow")).to_have_attribute("aria-pressed", "false")
    before = page.locator("#task-log").evaluate("box => box.scrollTop")
    page.wait_for_timeout(1500)
    assert page.locator("#task-log").evaluate("box => box.scrollTop") == before
    page.locator("#log-follow").click()
    expect(page.locator("#log-follow")).to_have_attribute("aria-pressed", "true")
    page.locator("#task-log").press("f")
    expect(page.locator("#log-follow")).to_have_attribute("aria-pressed", "false")


def test_a_log_of_any_size_is_seen_through_a_window_of_some_lines(page: Page, site: Site) -> None:
    lines = [f"{time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(BEGIN + n))} INFO step={n}" for n in range(30_000)]
    lines[200] = lines[200].replace("INFO", "ERROR")
    site.platform.written[site.platform.task("f1").id] = "".join(f"{line}\n" for line in lines).encode()
    shown(page, "/tasks/f1")
    log, rows = page.locator("#task-log"), page.locator("#task-log .log-piece .log-line")
    expect(rows.last).to_contain_text("step=29999")
    for _ in range(4):
        first = rows.first.inner_text()
        log.evaluate("box => { box.scrollTop = 0; }")
        expect(rows.first).not_to_have_text(first)
        assert log.evaluate("box => box.scrollTop") > 200, "what was read stays in place"
    assert 2000 <= rows.count() < 4000
    steps = [int(line.rpartition("=")[2]) for line in rows.all_inner_texts()]
    assert steps == list(range(steps[0], steps[0] + len(steps)))
    log.evaluate("box => { box.scrollTop = box.scrollHeight; }")
    expect(rows.last).not_to_contain_text(f"step={steps[-1]}")
    log.press("Home")
    expect(rows.first).to_contain_text("step=0")
    log.press("End")
    expect(rows.last).to_contain_text("step=29999")
    expect(page.locator("#log-follow")).to_have_attribute("aria-pressed", "true")
    page.locator("#log-first-error").click()
    expect(page.locator(".log-target")).to_contain_text("ERROR step=200")
    page.evaluate(f"document.dispatchEvent(new CustomEvent('log-at', {{ detail: {{ t: {BEGIN + 12_345}.4 }} }}))")
    expect(page.locator(".log-target")).to_have_text(lines[12_345])
    expect(page.locator(".log-target")).to_be_in_viewport()

    page.locator("#log-words").fill("STEP=2999")
    expect(page.locator("#log-status")).to_have_text("11 lines")
    expect(page.locator("#log-found mark").first).to_have_text("step=2999")
    page.locator("#log-words").press("Enter")
    expect(page.locator(".log-target")).to_contain_text("step=2999")
    page.locator("#log-next").click()
    expect(page.locator(".log-target")).to_contain_text("step=29990")
    expect(page.locator("#log-status")).to_have_text("2 / 11 lines")
    page.locator("#log-words").fill("INFO")
    expect(page.locator("#log-status")).to_contain_text("200 lines so far")
    page.locator("#log-more").click()
    expect(page.locator("#log-status")).to_contain_text("400 lines so far")
    page.locator("#log-words").press("Escape")
    expect(page.locator("#log-bar")).to_be_hidden()
    page.locator("#log-level").select_option("error")
    expect(page.locator("#log-found li")).to_have_count(1)


def test_a_log_that_was_cut_begins_anew(page: Page, site: Site) -> None:
    id_ = site.platform.task("a2").id
    shown(page, "/tasks/a2")
    expect(page.locator(".log-piece .log-line").last).to_contain_text("step=")
    page.wait_for_timeout(1200)
    expect(page.locator("#log-follow")).to_have_attribute("aria-pressed", "true")
    site.platform.written[id_] = b"[... 99 KB of this log were cut out here ...]\n"
    expect(page.locator(".log-piece .log-line").first).to_contain_text("cut out here")


@pytest.mark.fault("script in a name, log or error")
def test_a_terminals_tricks_are_colours_or_nothing(page: Page, site: Site) -> None:
    tricks = [
        "\x1b[1;31mred\x1b[0m \x1b[38;5;82mlime\x1b[0m \x1b[38;2;10;20;250msky\x1b[39m \x1b[2mdim\x1b[m",
        f"\x1b[32m{HTML}\x1b]8;;javascript:alert(3)\x07link\x1b]8;;\x07<script>alert(4)</script>",
        "\x1b[2J\x1b[H 10%\r 50%\r100%",
        "\x1b[31<b>m",
    ]
    site.platform.written[site.platform.task("f1").id] = ("\n".join(tricks) + "\n").encode()
    shown(page, "/tasks/f1")
    rows = page.locator("#task-log .log-piece .log-line")
    expect(rows).to_have_text(["red lime sky dim", f"{HTML}link<script>alert(4)</script>", "100%", ">m"])
    assert [rows.first.locator(f".ansi-{name}").inner_text() for name in ("red", "green", "blue", "dim")] == [
        "red",
        "lime",
        "sky",
        "dim",
    ]
    assert rows.first.locator(".ansi-bold").inner_text() == "red"
    assert page.locator("#task-log").evaluate("box => box.querySelectorAll('img, b, script, a').length") == 0
    page.locator("#log-words").fill(HTML)
    expect(page.locator("#log-found mark")).to_have_text(HTML)


def test_a_failed_task_says_why_and_html_stays_text(page: Page) -> None:
    shown(page, "/tasks/c4")
    expect(page.locator("[data-banner=failed]")).to_contain_text(HTML)
    expect(page.locator("[data-banner=failed]")).to_contain_text("Lower learning_rate")
    expect(page.locator("[data-banner=failed]")).to_contain_text("learning rate")
    expect(page.locator(".log-piece .log-line").last).to_contain_text("<script>alert(2)</script>")
    page.locator("#failure-log").click()
    expect(page.locator(".log-target")).to_contain_text("<script>alert(2)</script>")
    expect(page.locator("#action-resume")).to_be_visible()
    page.locator("#tab-history").click()
    expect(page.locator("#task-history")).to_contain_text(HTML)
    assert page.locator("img[src=x]").count() == 0


@pytest.mark.fault("missing or changed data")
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
    expect(page.locator("#chart-loss .trace .lines path").first).to_be_visible()
    page.locator("#nav-tasks").click()
    page.locator("tr[data-task^=b3] .task-link").click()
    expect(page.locator("#task-name-text")).to_have_text("sft-answers-zh")
    expect(page.locator("#chart-loss .trace")).to_have_count(0)
    expect(page.locator("#tile-step")).to_have_text("–")
    expect(page.locator("[data-banner=waits]")).to_contain_text("held by")
    page.go_back()
    expect(page.locator("#task-list tbody tr")).to_have_count(25)


@pytest.mark.fault("tracking server down for good")
def test_an_absent_tracking_server_is_told_and_the_page_goes_on(page: Page, site: Site) -> None:
    shown(page, "/tasks/a2")
    expect(page.locator("#chart-loss .trace .lines path").first).to_be_visible()
    site.platform.tracking = site.platform.scheduler = False
    expect(page.locator("[data-banner=tracking]")).to_contain_text("training goes on")
    expect(page.locator("[data-banner=tracking]")).to_contain_text("1,234 numbers")
    expect(page.locator("[data-banner=scheduler]")).to_be_visible()
    site.platform.tracking = site.platform.scheduler = True
    expect(page.locator("[data-banner=tracking]")).to_have_count(0)


def test_a_page_survives_a_restart_of_the_web_app(browser: Browser, site: Site) -> None:
    checked = Checked(browser, site)
    shown(checked.page, "/tasks/a2")
    expect(checked.page.locator("#chart-loss .trace .lines path").first).to_be_visible()
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
