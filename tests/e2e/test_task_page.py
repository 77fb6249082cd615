"""The page of a task in a real browser, against the platform in memory: it lives, and survives what is around it."""

import re
from dataclasses import replace
from typing import Any

import pytest
from browser_site import Checked, Site, shown
from fake_data import HTML
from playwright.sync_api import Browser, Page, expect

from minimind_platform.errors import NotFoundError, PlatformError

pytestmark = pytest.mark.browser


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
