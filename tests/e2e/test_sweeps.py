"""Sweeps in a real browser, against the platform in memory."""

import re
import sys
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

sys.path.insert(0, str(Path(__file__).parent))
from browser_site import Checked, Site, shown, until

from minimind_platform.sweeps.views import TrialState

pytestmark = pytest.mark.browser
PAGES = ("/sweeps", "/sweeps/new?like=51", "/sweeps/51", "/sweeps/53#effects", "/sweeps/52#trials", "/sweeps/54#setup")


@pytest.mark.parametrize(("language", "theme", "width"), [("en", "light", 1280), ("zh", "dark", 390)])
def test_every_page_is_clean_and_accessible(
    browser: Browser, site: Site, language: str, theme: str, width: int
) -> None:
    checked = Checked(browser, site, language, theme, width)
    for path in PAGES:
        shown(checked.page, path)
        checked.page.wait_for_timeout(1_200)
        assert checked.page.evaluate("document.documentElement.scrollWidth") <= width, path
        checked.accessible()
    checked.close()


def test_a_space_is_built_and_its_problems_stand_at_their_fields(page: Page, site: Site) -> None:
    before = len(site.platform.sweeps.all)
    shown(page, "/new?type=sft&data=dataset/samples/sft.jsonl")
    page.locator("#field-epochs").fill("3")
    page.locator("#search-settings").click()
    expect(page.locator("#field-data_path")).to_have_value("dataset/samples/sft.jsonl")
    expect(page.locator("#field-epochs")).to_have_value("3")  # what was typed comes along
    page.locator("#submit-sweep").click()
    expect(page.locator("#search-error")).to_have_text("Choose at least one setting to search.")
    page.locator("#space-add").select_option("learning_rate")
    expect(page.locator("#search-learning_rate")).to_have_value("1e-6")
    expect(page.locator("#search-learning_rate-log")).to_be_checked()
    expect(page.locator("#entry-learning_rate")).to_be_hidden()
    page.locator("#space-add").select_option("warmup_steps")
    page.locator("#search-warmup_steps").fill("50")
    page.locator("#search-warmup_steps-high").fill("20")
    page.locator("#option-n_trials").fill("none")
    expect(page.locator("#search-warmup_steps-error")).to_contain_text("above the high end")
    expect(page.locator("#option-n_trials-error")).to_contain_text("whole number")
    expect(page.locator("#form-summary li")).to_have_count(2)
    expect(page.locator("#search-warmup_steps")).to_have_attribute("aria-invalid", "true")
    page.locator("#form-summary a", has_text="Warm-up").click()
    expect(page.locator("#search-warmup_steps")).to_be_focused()
    page.locator("#search-warmup_steps").fill("0")
    page.locator("#option-n_trials").fill("6")
    page.locator("#search-card-warmup_steps summary").click()
    page.locator("#search-warmup_steps-when").select_option("packing")
    page.locator("#search-warmup_steps-when-values").check()
    page.locator("#search-learning_rate-choices").click()
    page.locator("#search-learning_rate").fill("1e-5, 1e-4")
    expect(page.locator("#form-summary li")).to_have_count(0)
    expect(page.locator("#plan-sweep-trials")).to_have_text("6")
    page.locator("#goal-add").click()
    expect(page.locator("#option-pruner-error")).to_contain_text("several objectives")
    page.locator("#goal-2-remove").click()
    expect(page.locator("#option-pruner-error")).to_be_empty()
    page.locator("#task-name").fill("by-hand")
    page.locator("#submit-sweep").dblclick()
    expect(page.locator("#sweep-state")).to_have_text("Running")
    assert len(site.platform.sweeps.all) == before + 1
    made = site.platform.sweeps.get("by-hand").spec
    assert made.values["epochs"] == "3" and made.n_trials == 6
    assert [param.name for param in made.params] == ["learning_rate", "warmup_steps"]
    assert made.params[0].choices == (1e-5, 1e-4) and made.params[1].when == {"packing": ("true",)}


def test_a_sweep_lives_and_zoom_stays(page: Page, site: Site) -> None:
    shown(page, "/sweeps/51")
    expect(page.locator("#chart-history .points")).not_to_have_count(0)
    expect(page.locator("#tile-trials")).to_have_text("28")
    page.evaluate("Plotly.relayout('chart-history', {'yaxis.range': [2, 2.5]})")
    sweeps = site.platform.sweeps
    sweeps.add_trial_as(sweeps.by_name("lr-and-batch"), TrialState.COMPLETE)
    expect(page.locator("#tile-trials")).to_have_text("29", timeout=6_000)
    numbers = "document.getElementById('chart-history').data.find((one) => one.name === 'complete').customdata"
    until(page, f"{numbers}.includes(30)")
    assert page.evaluate("document.getElementById('chart-history').layout.yaxis.range") == [2, 2.5]
    with page.expect_response(re.compile("/live")) as caught:
        pass
    assert len(caught.value.body()) < 1_500
    page.locator("#tab-trials").click()
    expect(page.locator("#trial-table tbody tr").first).to_have_attribute("data-trial", "30")


def test_trials_are_sorted_left_out_added_and_run_in_full(page: Page, site: Site) -> None:
    sweeps = site.platform.sweeps
    best, second = (
        trial.number
        for trial in sorted(
            (t for t in sweeps.trials("51") if t.state is TrialState.COMPLETE and t.feasible and not t.excluded),
            key=lambda trial: trial.values,
        )[:2]
    )
    shown(page, "/sweeps/51#trials")
    page.get_by_role("button", name="Sort by eval/loss").click()
    rows = page.locator("#trial-table tbody tr")
    expect(rows.first).to_have_attribute("data-trial", str(best))
    expect(rows.first.locator(".tag-best")).to_be_visible()
    rows.first.locator("[data-action=exclude]").click()
    expect(rows.first).to_have_class(re.compile("trial-out"))
    expect(page.locator(f"tr[data-trial='{second}'] .tag-best")).to_be_visible()
    rows.first.locator("[data-action=exclude]").press("Enter")
    expect(rows.first.locator(".tag-best")).to_be_visible()
    page.locator("#trial-add").click()
    page.locator("#fill-learning_rate").fill("7")
    page.locator("#fill-learning_rate").press("Enter")
    expect(page.locator("#fill-learning_rate-error")).to_contain_text("not in the search space")
    page.locator("#fill-learning_rate").fill("2e-4")
    page.locator("#ask-confirm").click()
    expect(page.locator("tr[data-trial='30']")).to_contain_text("by hand")
    page.locator("#tab-overview").click()
    page.locator(".best-promote").click()
    expect(page.locator(".ask-note")).to_have_text("Nothing changes yet.")
    page.locator("#fill-epochs").fill("9")
    expect(page.locator(".ask-note")).to_contain_text("goes on from the trial's checkpoint")
    page.locator("#ask-confirm").click()
    expect(page.locator("#task-name-text")).to_have_text("lr-and-batch-best")
    assert max(site.platform.all.values(), key=lambda task: task.created_at).config["epochs"] == 9


def test_a_paused_sweep_says_why_and_is_deleted_with_undo(page: Page, site: Site) -> None:
    shown(page, "/sweeps?state=PAUSED")
    row = page.locator("tr[data-sweep^='52']")
    row.locator(".task-link").click()
    expect(page.locator("[data-banner=paused]")).to_contain_text("3 trials in a row failed")
    page.locator("#action-resume").click()
    expect(page.locator("#sweep-state")).to_have_text("Running")
    page.locator("#action-extend").click()
    page.locator("#fill-n_trials").fill("5")
    page.locator("#ask-confirm").click()
    expect(page.locator("#tile-trials-unit")).to_have_text("/ 25")
    page.go_back()
    expect(page.locator("#clear-filters")).to_be_visible()
    page.locator("#clear-filters").click()
    row.locator("[data-action=delete]").click()
    page.locator("#ask-confirm").click()
    expect(row).to_have_count(0)
    page.get_by_role("button", name="Undo").click()
    expect(row).to_be_visible()
    site.platform.sweeps.all.clear()
    expect(page.locator(".empty h2")).to_have_text("No sweeps yet")


def test_two_hundred_trials_are_shown(page: Page, site: Site) -> None:
    sweeps = site.platform.sweeps
    id_ = sweeps.by_name("just-begun")
    sweeps.add_trials(id_, 200)
    shown(page, "/sweeps/54")
    expect(page.locator("#chart-history .points")).not_to_have_count(0)
    page.locator("#tab-trials").click()
    expect(page.locator("#trial-table tbody tr")).to_have_count(200)
    point = page.evaluate("document.getElementById('chart-history').data[1].customdata[0]")
    page.evaluate(
        f"document.getElementById('chart-history').emit('plotly_click', {{points: [{{customdata: {point}}}]}})"
    )
    expect(page).to_have_url(re.compile(r"/tasks/[0-9a-f]+$"))
