"""The Data page in a real browser, against the platform in memory."""

import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

sys.path.insert(0, str(Path(__file__).parent))

from browser_site import Checked, Site, shown
from fake_data import HTML, stats_of

from minimind_platform.views import JobState

pytestmark = pytest.mark.browser
SFT = "/data?path=dataset%2Fsamples%2Fsft.jsonl"
LARGE = "/data?path=dataset%2Fpretrain_hq.jsonl"
UNKNOWN = "/data?path=dataset%2Fnotes.jsonl"
PAGES = ("/data", SFT, LARGE, UNKNOWN, "/data?path=dataset%2Fnope.jsonl")


@pytest.mark.parametrize(("language", "theme", "width"), [("en", "light", 1280), ("zh", "dark", 390)])
def test_the_page_is_accessible_and_fits(browser: Browser, site: Site, language: str, theme: str, width: int) -> None:
    site.platform.hub_fetch("pretrain_t2t_mini")
    checked = Checked(browser, site, language, theme, width)
    for path in PAGES:
        shown(checked.page, path)
        checked.page.wait_for_timeout(600)
        checked.accessible()
        assert checked.page.evaluate("document.documentElement.scrollWidth") <= width, path
    checked.close()


def test_statistics_and_rows_of_a_data_set(page: Page) -> None:
    shown(page, SFT)
    expect(page.locator("#data-rows")).to_have_text("800")
    expect(page.locator("#data-tokens")).to_have_text("144,000")
    expect(page.locator("#data-check")).to_contain_text("dataset/samples/sft.jsonl, line 17")
    expect(page.locator("#data-check")).to_contain_text("3 rows carry no loss within 768 tokens: a training skips them")
    expect(page.locator("#chart-lengths .bars path")).to_have_count(20)
    expect(page.locator(".row-shown")).to_have_count(5)
    expect(page.locator("mark.loss", has_text="An answer that is learned.").first).to_have_css(
        "text-decoration-line", "underline"
    )


def test_markup_in_data_stays_text(page: Page) -> None:
    shown(page, SFT)
    expect(page.locator(".row-text").first).to_contain_text(HTML)
    expect(page.locator("#data-check")).to_contain_text(f"Field 'source' is ignored {HTML}")
    shown(page, UNKNOWN)
    expect(page.locator("[data-banner=stats]")).to_contain_text(HTML)
    assert page.locator("img[src=x]").count() == 0


def test_what_is_looked_at_is_in_the_address_and_comes_back_from_it(page: Page) -> None:
    shown(page, SFT)
    expect(page.locator(".row-shown")).to_have_count(5)
    page.locator("#data-length").fill("20")
    expect(page).to_have_url(re.compile("max_seq_len=20"))
    expect(page.locator("#preview-rows del.cut").first).to_have_text("An answer that is cut.")
    page.locator("#preview-next").click()
    expect(page.locator(".row-shown h3").first).to_contain_text("line 6")
    expect(page.locator(".row-error")).to_contain_text(HTML)
    page.locator("#preview-next").click()
    expect(page.locator(".row-shown")).to_have_count(2)
    expect(page.locator("#preview-next")).to_be_disabled()
    expect(page).to_have_url(re.compile("row=11"))
    page.reload()
    expect(page.locator(".row-shown h3").first).to_contain_text("line 11")
    expect(page.locator("#data-length")).to_have_value("20")
    page.locator(".crumbs a").click()
    expect(page.locator("#data-sets")).to_be_visible()
    page.go_back()
    expect(page.locator(".row-shown h3").first).to_contain_text("line 11")


def test_a_length_that_is_none_is_told_and_asks_nothing(page: Page, site: Site) -> None:
    shown(page, SFT)
    expect(page.locator(".row-shown")).to_have_count(5)
    jobs = len(site.platform.background)
    page.locator("#data-length").fill("5x")
    expect(page.locator("[data-banner=length]")).to_contain_text("from 8 to 32,768")
    expect(page.locator("#data-length")).to_have_attribute("aria-invalid", "true")
    assert len(site.platform.background) == jobs
    page.locator("#data-length").fill("64")
    expect(page.locator("[data-banner=length]")).to_have_count(0)


def test_long_statistics_show_progress_until_they_are_done(page: Page, site: Site) -> None:
    shown(page, LARGE)
    expect(page.locator(".working")).to_contain_text("1.6 GB")
    (job,) = site.platform.background.values()
    site.platform.background[job.id] = replace(job, done=job.total // 2)
    expect(page.locator(".working .bar")).to_have_attribute("aria-valuenow", "50")
    result = stats_of(site.platform._dataset("dataset/pretrain_hq.jsonl"), 340)
    site.platform.background[job.id] = replace(job, state=JobState.DONE, result=result)
    expect(page.locator("#data-rows")).to_have_text("1,413,103")
    expect(page.locator(".working")).to_have_count(0)


def test_cancelled_statistics_can_be_started_again(page: Page, site: Site) -> None:
    shown(page, LARGE)
    page.locator(".working button").click()
    expect(page.locator("[data-banner=stats]")).to_contain_text("cancelled")
    page.locator("[data-banner=stats] button").click()
    expect(page.locator(".working")).to_be_visible()
    assert [job.state for job in site.platform.background.values()] == ["running"]


def test_a_download_from_start_to_end(page: Page, site: Site) -> None:
    shown(page, "/data")
    row = page.locator("tr[data-hub=dpo]")
    row.get_by_role("button", name="Get dpo").click()
    expect(row).to_contain_text("17.7 MB of 53.0 MB")
    row.get_by_role("button", name="Cancel dpo").click()
    expect(row.get_by_role("button", name="Get dpo")).to_be_visible()
    row.get_by_role("button", name="Get dpo").click()
    expect(row.locator(".bar")).to_have_attribute("aria-valuenow", "33")
    (job,) = site.platform.background.values()
    site.platform.fetched.add("dpo")
    site.platform.background[job.id] = replace(job, state=JobState.DONE)
    expect(page.locator(".toast-box")).to_contain_text("“dpo” is there and verified.")
    expect(row.get_by_role("link", name="Open dpo")).to_be_visible()
    expect(page.locator("tr[data-hub=sft_t2t]").get_by_role("button", name="Go on with sft_t2t")).to_be_visible()


def test_a_failed_download_says_why_as_text(page: Page, site: Site) -> None:
    job = site.platform.hub_fetch("dpo")
    site.platform.background[job.id] = replace(job, state=JobState.FAILED, error=f"No network {HTML}")
    shown(page, "/data")
    expect(page.locator("tr[data-hub=dpo] .hub-error")).to_have_text(f"No network {HTML}")
    assert page.locator("img[src=x]").count() == 0


def test_search_and_train_on_this(page: Page) -> None:
    shown(page, "/data")
    page.locator("#data-search").fill("sft")
    expect(page.locator("#data-sets tbody tr:visible")).to_have_count(1)
    page.locator("#data-search").fill("nothing")
    expect(page.locator("#data-none")).to_be_visible()
    page.locator("#data-search").fill("")
    page.locator("#data-sets a", has_text="dataset/samples/sft.jsonl").click()
    page.locator("#data-type").select_option("lora")
    page.locator("#data-length").fill("64")
    expect(page).to_have_url(re.compile("max_seq_len=64"))
    page.locator("#data-train").click()
    expect(page.locator("#field-data_path")).to_have_value("dataset/samples/sft.jsonl")
    expect(page.locator("#task-type input:checked")).to_have_value("lora")
    expect(page.locator("#field-max_seq_len")).to_have_value("64")
