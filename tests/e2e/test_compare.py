"""Runs side by side in a real browser: the address has the selection, curves lie over one another, settings differ."""

import json
import re
from urllib.parse import unquote

import pytest
from browser_site import Checked, Site, shown, until
from playwright.sync_api import Browser, Page, expect

from minimind_platform.curves.buckets import Buckets

pytestmark = pytest.mark.browser

THEIRS = "c" * 32
PLOT = "document.getElementById('chart-train/loss')"


def ids_of(site: Site, *names: str) -> list[str]:
    return [site.platform.by_name(name) for name in names]


@pytest.mark.parametrize(("language", "theme"), [("en", "light"), ("zh", "dark")])
def test_curves_values_and_settings_of_the_runs_in_the_address(
    browser: Browser, site: Site, language: str, theme: str
) -> None:
    curve = Buckets()
    for step in range(400):
        curve.add(step, 1.5 if step == 200 else 2.0, float(step))
    site.platform.curves.foreign[THEIRS] = {"train/loss": curve, "val/acc": curve}
    ids = [*ids_of(site, "tiny-first-try", "pretrain-minimind-3-long-name-of-a-careful-person"), THEIRS]
    checked = Checked(browser, site, language, theme)
    page = checked.page
    shown(page, f"/compare?ids={','.join(ids)}")
    expect(page.locator(".compare-run")).to_have_count(3)
    until(page, f"{PLOT}?.data?.filter(trace => trace.mode !== 'markers' && trace.x.length > 100).length >= 3")
    groups = page.locator(".chart-group").evaluate_all("all => all.map(one => one.dataset.group)")
    assert groups == ["common", "some"]
    expect(page.locator("#compare-mlflow")).to_have_attribute("href", re.compile("compare-runs"))
    href = unquote(page.locator("#compare-mlflow").get_attribute("href") or "")
    assert json.loads(href.split("runs=")[1].split("&")[0]) == ids
    checked.accessible()

    page.locator(f"[data-run='{THEIRS}'] .chart-key").click()
    until(page, f"{PLOT}.data[10].visible === false")
    page.locator("#tab-values").click()
    losses = page.locator("[data-metric='train/loss'] td")
    expect(losses).to_have_count(3)
    expect(losses.nth(2)).to_have_attribute("data-best", "yes")
    expect(losses.nth(2)).to_contain_text("1.5")
    checked.accessible()
    page.locator("#tab-settings").click()
    expect(page.locator("[data-setting=hidden_size] td")).to_have_text(["128", "768", "–"])
    differing = page.locator("#compare-settings tbody tr").count()
    page.locator("#compare-all").click()
    expect(page.locator("#compare-settings tbody tr")).not_to_have_count(differing - 1)
    checked.accessible()

    page.locator(f"[data-remove='{THEIRS}']").click()
    expect(page.locator(".compare-run")).to_have_count(2)
    expect(page.locator("[data-setting=data_path]")).to_have_class("")
    assert page.evaluate("location.search") == f"?ids={','.join(ids[:2])}"
    page.reload()
    expect(page.locator(".compare-run")).to_have_count(2)
    expect(page.locator("#compare-settings")).to_be_visible()  # the tab stays, too
    checked.close()


def test_runs_are_added_by_name_and_twenty_are_the_most(page: Page, site: Site) -> None:
    shown(page, "/compare")
    expect(page.locator("#compare-nothing")).to_be_visible()
    page.locator("#compare-search").fill("onerror")
    expect(page.locator(".pick")).to_have_count(1)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator(".compare-run")).to_contain_text("<img src=x")
    expect(page.locator("#compare-nothing")).to_be_hidden()
    assert page.locator("img[src=x]").count() == 0
    many = [task.id for task in site.platform.all.values()][:23]
    shown(page, f"/compare?ids={','.join(many)}")
    expect(page.locator("[data-banner=most]")).to_be_visible()
    expect(page.locator(".compare-run")).to_have_count(20)
    page.locator("#compare-search").fill("sft-tiny")
    shown(page, f"/compare?ids={many[0]},{'d' * 32}")
    expect(page.locator("[data-banner=missing]")).to_contain_text("d" * 32)
    expect(page.locator(".compare-run")).to_have_count(1)


def test_a_task_leads_to_its_comparison_and_the_page_of_its_run_to_the_task(page: Page, site: Site) -> None:
    (id_,) = ids_of(site, "tiny-first-try")
    shown(page, f"/runs/{id_}")
    page.wait_for_url(f"**/tasks/{id_}")
    page.locator("#compare-link").click()
    page.wait_for_url(f"**/compare?ids={id_}")
    expect(page.locator(".compare-run")).to_have_count(1)
    shown(page, f"/runs/{'e' * 32}")
    expect(page.locator(".empty")).to_contain_text("no such run")
