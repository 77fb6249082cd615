"""The trash in a browser: deleted, brought back, removed for good, and what others need kept."""

import re

import pytest
from browser_site import Checked, Site, shown
from playwright.sync_api import Browser, expect

from dash_app.texts import texts
from minimind_platform.tasks import ACTIVE, ENDED

pytestmark = pytest.mark.browser


def first_ended(site: Site) -> str:
    return next(task.id for task in site.platform.all.values() if task.state in ENDED and task.deleted_at is None)


@pytest.mark.parametrize(("language", "theme", "width"), [("en", "light", 1280), ("zh", "dark", 390)])
def test_a_task_goes_to_the_trash_and_back_and_then_for_good(
    browser: Browser, site: Site, language: str, theme: str, width: int
) -> None:
    t = texts(language)
    checked = Checked(browser, site, language, theme, width=width)
    page, task = checked.page, site.platform.all[first_ended(site)]
    user = next(other for other in site.platform.all.values() if other.state in ENDED and other.id != task.id)
    site.platform.trash.need(task, user)
    shown(page, f"/tasks/{task.id}")
    page.locator("[data-action=delete]").click()
    dialog = page.locator("dialog.ask")
    expect(dialog).to_contain_text("1.2 MB")
    expect(dialog.locator("li")).to_contain_text(user.name)
    checked.accessible()
    page.locator("#ask-confirm").click()
    expect(page.locator(".toast-box").first).to_contain_text(t("js.undo"))

    shown(page, "/trash")
    row = page.locator(f"[data-trash='{task.id}']")
    expect(row).to_contain_text("1.2 MB")
    expect(row).to_contain_text(user.name)
    checked.accessible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    row.locator("[data-action=restore]").click()
    expect(row).to_have_count(0)
    assert site.platform.all[task.id].deleted_at is None

    site.platform.delete(task.id)
    expect(row).to_be_visible()
    row.locator("[data-action=purge]").click()
    expect(page.locator("dialog.ask li")).to_contain_text(user.name)
    page.locator("#ask-confirm").click()
    expect(row).to_have_count(0)
    expect(page.locator(".toast-box").last).to_contain_text(re.compile(r"1\.2 MB"))
    assert task.id not in site.platform.all
    expect(page.locator("#trash-list .empty")).to_contain_text(t("js.trash_nothing"))
    checked.accessible()
    checked.close()


def test_emptying_keeps_what_others_need(browser: Browser, site: Site) -> None:
    checked = Checked(browser, site)
    page, platform = checked.page, site.platform
    needed, gone = [task for task in platform.all.values() if task.state in ENDED][:2]
    platform.trash.need(needed, next(task for task in platform.all.values() if task.state in ACTIVE))
    for task in (needed, gone):
        platform.delete(task.id)
    shown(page, "/tasks")
    page.locator("#trash-link").click()
    expect(page.locator("[data-trash]")).to_have_count(2)
    expect(page.locator(".needed-open")).to_have_count(1)
    page.locator("#trash-age").select_option("30")
    page.locator("#trash-empty").click()
    expect(page.locator("dialog.ask")).to_contain_text("30 days")
    page.locator("#ask-confirm").click()
    expect(page.locator(".toast-box")).to_contain_text("Nothing is old enough")
    page.locator("#trash-age").select_option("0")
    page.locator("#trash-empty").click()
    page.locator("#ask-confirm").click()
    expect(page.locator("[data-trash]")).to_have_count(1)
    assert set(platform.all) >= {needed.id}
    assert gone.id not in platform.all
    page.locator(f"[data-trash='{needed.id}'] [data-action=purge]").click()
    expect(page.locator("dialog.ask li")).to_contain_text("has not ended")
    page.locator("#ask-confirm").click()
    expect(page.locator(".toast-bad").last).to_contain_text("Nothing was removed")
    checked.close()
