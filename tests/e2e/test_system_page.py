"""The page about this machine in a browser, and the number of warnings on every page."""

from dataclasses import replace

import pytest
from browser_site import Checked, Site, shown
from playwright.sync_api import Browser, expect

from dash_app.texts import texts

pytestmark = pytest.mark.browser


@pytest.mark.parametrize(("language", "theme", "width"), [("en", "light", 1280), ("zh", "dark", 390)])
def test_the_page_shows_the_machine_and_goes_on(
    browser: Browser, site: Site, language: str, theme: str, width: int
) -> None:
    t = texts(language)
    checked = Checked(browser, site, language, theme, width=width)
    page, machine = checked.page, site.platform.machine
    shown(page, "/tasks")
    expect(page.locator("#system-badge")).to_have_text("2")
    page.locator("#nav-system").click()
    expect(page.locator("[data-device='cuda:0']")).to_contain_text("93")
    expect(page.locator("[data-device='cuda:1']")).to_contain_text(t("js.sys_unknown"))
    expect(page.locator("#system-banners")).to_contain_text("<b>idle</b>")
    expect(page.locator("#system-disk")).to_contain_text("12")
    expect(page.locator("#system-tasks tbody tr")).not_to_have_count(0)
    expect(page.locator("#system-processes tbody tr")).to_have_count(4)
    line = page.locator("[data-device='cuda:0'] .spark-line").first
    assert (line.get_attribute("d") or "").count("L") > 200, "ten minutes are drawn"
    checked.accessible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    machine.gpus = [replace(machine.gpus[0], use=12.0)]
    machine.notices = []
    expect(page.locator("[data-device='cuda:0']")).to_contain_text("12")
    expect(page.locator("[data-device='cuda:1']")).to_have_count(0)
    expect(page.locator("#system-banners .notice")).to_have_count(0)
    machine.gpus, machine.trouble = [], "none"
    expect(page.locator(".no-gpu")).to_contain_text(t("js.sys_no_gpu"))
    checked.accessible()
    checked.close()
