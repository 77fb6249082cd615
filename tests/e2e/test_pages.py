"""The pages in a real browser, against the platform in memory: what a person sees, and what the browser must not do."""

import re
import time
from typing import Any

import pytest
from browser_site import Checked, Site, shown
from playwright.sync_api import Browser, Page, expect

from dash_app.texts import texts

pytestmark = pytest.mark.browser
PAGES = (
    "/tasks", "/tasks?q=no-such", "/new?type=grpo", "/models", "/tasks/a2", "/tasks/c4", "/tasks/nope", "/nope",
    "/compare", "/runs/nope",
)  # fmt: skip


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
