"""The list of tasks in a real browser: order and filters in the address, many rows at once, the queue, keys."""

import re
from dataclasses import replace

import pytest
from browser_site import Checked, Site, shown, until
from fake_data import HTML
from playwright.sync_api import Browser, Locator, Page, expect

from dash_app.texts import texts
from minimind_platform.tasks import Difference, State

pytestmark = pytest.mark.browser


def names(page: Page) -> list[str]:
    return page.locator("#task-list .task-link").all_inner_texts()


def box(page: Page, start: str) -> Locator:
    return page.locator(f"tr[data-task^={start}] .col-select input")


@pytest.mark.parametrize("language", ["en", "zh"])
def test_many_are_chosen_and_stopped_and_what_fails_is_told(browser: Browser, site: Site, language: str) -> None:
    checked, t = Checked(browser, site, language), texts(language)
    page = checked.page
    shown(page, "/tasks")
    top = page.locator("#task-list").bounding_box()
    for start in ("a2", "b3", "f1", "d5"):
        box(page, start).check()
    expect(page.locator(".select-count")).to_have_text(t("js.chosen", n=4))
    assert page.locator("#task-list").bounding_box() == top  # the bar lies over the page
    checked.accessible()
    page.locator("[data-bulk=stop]").click()
    expect(page.locator("#ask-title")).to_have_text(t("js.bulk_stop_title", n=2))
    left = t("js.bulk_left", n=2, states=f"{t('js.state.FINISHED')} 1 · {t('js.state.STOPPED')} 1")
    expect(page.locator(".ask-left")).to_have_text(left)
    checked.accessible()
    task = site.platform.task("b3")  # ends while the question is asked
    site.platform.all[task.id] = replace(task, state=State.FAILED)
    page.locator("#ask-confirm").click()
    expect(page.locator("#bulk-failed-title")).to_have_text(t("js.bulk_failed", n=1, total=2))
    expect(page.locator(".bulk-failed")).to_contain_text("sft-answers-zh is failed.")
    page.locator("#bulk-failed-close").click()
    expect(page.locator("tr[data-task^=a2] .pill")).to_have_text(t("js.state.STOPPING"))
    expect(page.locator(".select-count")).to_have_text(t("js.chosen", n=3))  # those that were not stopped
    expect(page.locator("[data-bulk=stop]")).to_be_disabled()
    page.keyboard.press("Escape")
    expect(page.locator(".select-bar")).to_be_hidden()
    checked.close()


def test_many_are_archived_and_that_is_undone(page: Page, site: Site) -> None:
    shown(page, "/tasks?state=FINISHED")
    page.locator("th .form-check-input").check()
    expect(page.locator(".select-count")).to_have_text("25 chosen")
    page.get_by_label("Next page").click()
    expect(page.locator(".select-count")).to_have_text("25 chosen (25 not on this page)")
    page.locator("[data-bulk=archive]").click()
    page.locator("#ask-confirm").click()
    expect(page.locator(".toast-text")).to_have_text("25 tasks were archived.")
    assert sum(task.archived_at is not None for task in site.platform.all.values()) == 25
    expect(page.locator(".chip[data-state=FINISHED] .count")).to_have_text("6")
    page.get_by_role("button", name="Undo").click()
    expect(page.locator(".chip[data-state=FINISHED] .count")).to_have_text("31")
    assert all(task.archived_at is None for task in site.platform.all.values())


def test_one_is_archived_found_again_and_brought_back(page: Page, site: Site) -> None:
    shown(page, "/tasks?q=tiny-first")
    row = page.locator("tr[data-task^=f1]")
    row.locator("[data-action=archive]").click()
    expect(row).to_have_count(0)
    page.locator("#archived-filter").click()
    expect(page).to_have_url(re.compile("archived=1"))
    row.locator("[data-action=unarchive]").click()
    expect(row).to_have_count(0)
    page.reload()
    expect(page.locator("#archived-filter")).to_have_attribute("aria-pressed", "true")
    page.locator("#archived-filter").click()
    expect(row).to_be_visible()
    shown(page, "/tasks/f1")
    page.locator("#action-archive").click()
    expect(page.locator("[data-banner=archived]")).to_be_visible()
    page.locator("#action-unarchive").click()
    expect(page.locator("[data-banner=archived]")).to_have_count(0)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_order_is_in_the_address_and_stays(browser: Browser, site: Site, language: str) -> None:
    checked = Checked(browser, site, language)
    page = checked.page
    shown(page, "/tasks")
    expect(page.locator("th[data-column=age]")).to_have_attribute("aria-sort", "descending")
    head = page.locator("th[data-column=name]")
    for order, word in (("ascending", "asc"), ("descending", "desc")):
        head.get_by_role("button").click()
        expect(page).to_have_url(re.compile(rf"sort=name&order={word}"))
        expect(head).to_have_attribute("aria-sort", order)
        expected = sorted((t.name for t in site.platform.all.values()), key=str.casefold, reverse=word == "desc")[:25]
        until(page, f"[...document.querySelectorAll('.task-link')][0].textContent === {expected[0]!r}")
        assert names(page) == expected
    page.reload()
    expect(head).to_have_attribute("aria-sort", "descending")
    assert names(page) == expected
    page.locator("#task-sort").select_option("loss")
    expect(page.locator("th[data-column=loss]")).to_have_attribute("aria-sort", "ascending")
    expect(head).to_have_attribute("aria-sort", "none")
    page.locator("#task-order").click()
    expect(page).to_have_url(re.compile("sort=loss&order=desc"))
    checked.accessible()
    checked.close()


def test_new_tasks_do_not_move_the_later_pages(page: Page, site: Site) -> None:
    shown(page, "/tasks?sort=created&order=desc")
    first = names(page)
    site.platform._add("77", "newcomer", "sft", State.QUEUED, 1e10, 0, 0, 128)
    page.get_by_label("Next page").click()
    expect(page.locator("#task-list tbody tr")).to_have_count(11)
    assert len(set(first + names(page))) == 36
    assert "newcomer" not in first + names(page)


def test_trials_of_sweeps_are_shown_when_asked_for(page: Page, site: Site) -> None:
    task = site.platform.task("f1")
    site.platform.all[task.id] = replace(task, sweep_id="5e1", trial=3)
    shown(page, "/tasks?q=tiny-first")
    expect(page.locator("#clear-filters")).to_be_visible()
    page.locator("#trials-filter").click()
    expect(page).to_have_url(re.compile("trials=1"))
    expect(page.locator("tr[data-task^=f1] .row-sweep")).to_have_text("Trial 3")


def test_a_row_shows_the_loss_and_what_was_changed_as_text(page: Page, site: Site) -> None:
    task = site.platform.task("f1")
    differs = tuple(Difference(f"setting_{n} {HTML}", 5e-4, HTML) for n in range(4))
    progress = replace(task.progress, trend=(8.0, 7.0, 5.5, 5.0))
    site.platform.all[task.id] = replace(task, name=HTML, differs=differs, progress=progress)
    shown(page, "/tasks?state=FINISHED")
    row = page.locator("tr[data-task^=f1]")
    expect(row.locator(".task-link")).to_have_text(HTML)
    points = row.locator(".sparkline polyline").get_attribute("points") or ""
    heights = [float(point.split(",")[1]) for point in points.split()]
    assert len(heights) == 4 and heights == sorted(heights)  # downwards on the screen
    expect(row.locator(".diff:visible")).to_have_count(2)
    expect(row.locator(".diff").first).to_have_text(f"setting_0 {HTML} 0.0005 → {HTML}")
    row.locator(".diff-more").click()
    expect(row.locator(".diff:visible")).to_have_count(4)
    page.wait_for_timeout(2_500)  # a refresh keeps it open
    expect(row.locator(".diff:visible")).to_have_count(4)
    row.locator(".col-select input").check()
    page.locator("[data-bulk=delete]").click()
    expect(page.locator(".ask-names")).to_have_text(HTML)
    page.locator("#ask-confirm").click()
    expect(row).to_have_count(0)
    page.get_by_role("button", name="Undo").click()
    expect(row).to_be_visible()


def test_the_place_in_the_queue(page: Page, site: Site) -> None:
    for number in range(3):
        site.platform._add(f"7{number}", f"later-{number}", "sft", State.QUEUED, 1e9 * (2 + number), 0, 0, 128)
    shown(page, "/tasks?sort=turn&order=asc&state=QUEUED")
    queued = ["sft-answers-zh", "later-0", "later-1", "later-2"]
    assert names(page) == queued
    row = page.locator("tr[data-task^='72']")
    expect(row.locator(".row-turn")).to_have_text("No. 4 in the queue")
    row.locator("[data-action=order]").click()
    expect(page.locator("dialog.queue")).to_contain_text("Place 4 of 4")
    page.locator("[data-place=up]").click()
    expect(page.locator("dialog.queue")).to_contain_text("Place 3 of 4")
    page.locator("[data-place=first]").click()
    page.locator("#queue-priority").fill("7")
    page.locator("#queue-set").click()
    page.locator("#queue-close").click()
    expect(row.locator(".row-turn")).to_have_text("No. 1 · priority 7")
    assert names(page) == ["later-2", "sft-answers-zh", "later-0", "later-1"]
    page.locator("tr[data-task^='71'] .col-type").drag_to(page.locator("tr[data-task^=b3] .col-type"))
    until(page, "document.querySelectorAll('.task-link')[1].textContent === 'later-1'")
    assert names(page) == ["later-2", "later-1", "sft-answers-zh", "later-0"]


def test_what_was_just_typed_does_not_write_the_address_of_the_next_page(page: Page) -> None:
    shown(page, "/tasks")
    one = page.locator("#task-list tbody .col-select input").first.evaluate("box => box.closest('tr').dataset.task")
    page.evaluate(
        """ids => {
            const search = document.querySelector("#task-search");
            search.value = "tiny";
            search.dispatchEvent(new Event("input"));
            mm.visit(`/compare?ids=${ids}`);
        }""",
        one,
    )
    expect(page.locator(".compare-run")).to_have_count(1)
    page.wait_for_timeout(300)  # longer than typing is waited for
    expect(page).to_have_url(re.compile(rf"/compare\?ids={one}$"))


def test_keys(page: Page) -> None:
    shown(page, "/tasks")
    page.keyboard.press("/")
    expect(page.locator("#task-search")).to_be_focused()
    page.keyboard.type("n?")  # typing is typing
    expect(page.locator("#task-search")).to_have_value("n?")
    page.locator("#task-search").fill("")
    expect(page.locator("#task-list tbody tr")).to_have_count(25)
    page.locator(".task-link").first.focus()
    page.keyboard.press(" ")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    expect(page.locator(".task-link").nth(2)).to_be_focused()
    page.keyboard.press("Shift+ ")
    expect(page.locator(".select-count")).to_have_text("3 chosen")
    page.locator(".col-select input").nth(5).click(modifiers=["Shift"])
    expect(page.locator(".select-count")).to_have_text("6 chosen")
    page.locator("[data-bulk=compare]").click()
    expect(page).to_have_url(re.compile(r"/compare\?ids=[0-9a-f]{32}(,[0-9a-f]{32}){5}$"))
    shown(page, "/tasks")
    page.keyboard.press("?")
    expect(page.locator("dialog.keys")).to_be_visible()
    page.locator("#keys-on").uncheck()
    page.keyboard.press("Escape")
    expect(page.locator("dialog.keys")).to_have_count(0)
    page.keyboard.press("n")
    expect(page).to_have_url(re.compile("/tasks$"))
    page.locator("#keys-help").click()
    page.locator("#keys-on").check()
    page.keyboard.press("Escape")
    page.keyboard.press("n")
    expect(page).to_have_url(re.compile("/new$"))
