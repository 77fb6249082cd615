"""Charts in a real browser: what is drawn is what was recorded, spikes and all, and stays where one looks."""

import json
import math
import random
import re
from typing import Any

import pytest
from browser_site import Checked, Site, shown, until
from playwright.sync_api import Browser, Page, expect

from dash_app.rest_curves import curve_views
from minimind_platform.curves.buckets import Buckets, CurvePart
from minimind_platform.curves.marks import Mark
from minimind_platform.curves.service import CurveAnswer

pytestmark = pytest.mark.browser

THEIRS = "b" * 32
STEPS, WIDTH = 1_000_000, 1_024
SPIKES = sorted(random.Random(3).sample(range(WIDTH, STEPS, WIDTH * 7), 20))
PLOT = "document.getElementById('chart-loss')"


def loss(step: int) -> float:
    return 40.0 if step in SPIKES else 2.0 + 7.0 * math.exp(-step / 90_000)


def million_steps() -> Buckets:
    """A run of a million steps as it is kept, with 20 spikes of one step each."""
    curve = Buckets(WIDTH)
    for begin in range(0, STEPS, WIDTH):
        last = min(begin + WIDTH, STEPS) - 1
        usual, spiky = loss(last), [40.0] * sum(begin <= spike <= last for spike in SPIKES)
        count = last - begin + 1
        total = usual * (count - len(spiky)) + sum(spiky)
        curve.join(begin, last, usual, max([usual, *spiky]), total, count, float(last))
    return curve


def looked_at(_run: str, keys: list[str], begin: int, end: int) -> CurveAnswer:
    """The points themselves, of a range that is short enough."""
    piece = Buckets()
    for step in range(max(0, begin), min(STEPS, end + 1), max(1, (end - begin) // 100_000)):
        piece.add(step, loss(step), float(step))
    part = piece.part()
    assert part
    return CurveAnswer(dict.fromkeys(keys, part), [], True)


def drawn(page: Page, trace: int, chart: str = PLOT) -> dict[str, Any]:
    return page.evaluate(f"(({{x, y}}) => ({{x: [...x], y: [...y]}}))({chart}.data[{trace}])")


def drag(page: Page, begin: float, end: float) -> None:
    """Choose a part of the plot with the mouse, as parts of its width."""
    box = page.locator("#chart-loss .nsewdrag").first.bounding_box()
    assert box
    height = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + begin * box["width"], height)
    page.mouse.down()
    page.mouse.move(box["x"] + (begin + end) / 2 * box["width"], height, steps=3)
    page.mouse.move(box["x"] + end * box["width"], height, steps=3)
    page.mouse.up()


@pytest.mark.parametrize("language", ["en", "zh"])
def test_all_spikes_of_a_million_steps_are_drawn_and_a_zoom_shows_the_points(
    browser: Browser, site: Site, language: str
) -> None:
    site.platform.curves.foreign[THEIRS] = {"loss": million_steps(), "<b>odd</b>/name": million_steps()}
    site.platform.curves.zoom = looked_at  # type: ignore[method-assign]
    checked = Checked(browser, site, language)
    page = checked.page
    shown(page, f"/runs/{THEIRS}")
    until(page, f"{PLOT}?.data?.[1].y.length > 900")
    assert sum(value == 40.0 for value in drawn(page, 1)["y"]) == len(SPIKES)
    expect(page.locator(".chart-group h2", has_text="<b>odd<")).to_be_visible()
    expect(page.locator("#page b")).to_have_count(0)
    checked.accessible()

    drag(page, 0.2, 0.6)
    until(page, f"{PLOT}.data[2].x[0] > 100000 && {PLOT}.data[2].x.at(-1) < 700000")
    with page.expect_response(re.compile(r"/curves\?.*begin=.*end=")):
        page.evaluate(f"Plotly.relayout('chart-loss', {{'xaxis.range': [{SPIKES[5] - 100}, {SPIKES[5] + 100}]}})")
    until(page, f"{PLOT}.data[2].x.length === 201")
    points = drawn(page, 2)
    assert points["x"][points["y"].index(40.0)] == SPIKES[5]
    expect(page.locator("[data-chart=loss] [data-tool=reset]")).to_be_visible()
    page.locator("#chart-loss .nsewdrag").first.dblclick()
    until(page, f"{PLOT}.data[1].y.length > 900")
    assert sum(value == 40.0 for value in drawn(page, 1)["y"]) == len(SPIKES)
    expect(page.locator("[data-chart=loss] [data-tool=reset]")).to_be_hidden()
    checked.close()


def test_new_points_come_while_one_looks_closer_and_nothing_moves(page: Page) -> None:
    shown(page, "/tasks/a2")
    until(page, f"{PLOT}.data?.[2].x.length > 500")
    begin = page.evaluate(f"{PLOT}.data[2].x.at(-1)") - 400
    with page.expect_response(re.compile(r"/curves\?")):
        page.evaluate(f"Plotly.relayout('chart-loss', {{'xaxis.range': [{begin}, {begin + 2000}]}})")
    until(page, f"{PLOT}.data[2].x[0] >= {begin - 20}")
    parts = f"[...{PLOT}.querySelectorAll('.main-svg, .trace')]"
    nodes = page.evaluate(f"(window.kept = {parts}).length")
    newest = page.evaluate(f"{PLOT}.data[2].x.at(-1)")
    with page.expect_request(re.compile("/live")) as asked:
        until(page, f"{PLOT}.data[2].x.at(-1) > {newest}")
    assert re.search(r"since=train%2Floss%3A\d+%3A\d+", asked.value.url)
    assert page.evaluate(f"{PLOT}.layout.xaxis.range") == [begin, begin + 2000]
    now = f"(now => now.length === {nodes} && now.every((node, i) => node === window.kept[i]))({parts})"
    assert page.evaluate(now)
    page.locator("[data-chart=loss] [data-tool=reset]").click()
    until(page, f"{PLOT}.data[2].x[0] < 100")


@pytest.mark.parametrize(("language", "axis"), [("en", "time, min"), ("zh", "时间（分）")])
def test_scale_smoothing_axis_and_full_screen(browser: Browser, site: Site, language: str, axis: str) -> None:
    checked = Checked(browser, site, language, "dark")
    page = checked.page
    shown(page, "/tasks/f1")
    until(page, f"{PLOT}.data?.[2].x.length > 300")
    page.locator("[data-smooth='0.9']").click()
    until(page, f"{PLOT}.data[3].y.length > 300")
    raw, smooth = drawn(page, 2)["y"], drawn(page, 3)["y"]
    average = 0.0
    for number, value in enumerate(raw, 1):
        average = 0.9 * average + 0.1 * value
        assert smooth[number - 1] == pytest.approx(average / (1 - 0.9**number))
    assert page.evaluate(f"{PLOT}.data[2].opacity") < 1

    page.locator("[data-chart=loss] [data-tool=log]").click()
    until(page, f"{PLOT}.layout.yaxis.type === 'log'")
    options = page.locator("#chart-axis option").evaluate_all("all => all.map(one => one.value)")
    assert options == ["step", "tokens", "epoch", "time"]
    page.locator("#chart-axis").select_option("time")
    until(page, f"{PLOT}.layout.xaxis.title.text === {json.dumps(axis)}")
    assert drawn(page, 2)["x"][-1] == pytest.approx(399 / 60)  # a second a step

    page.locator("[data-chart=loss] [data-tool=full]").click()
    full = page.locator("dialog.chart-full")
    expect(full.locator("#chart-loss")).to_be_visible()
    until(page, f"{PLOT}.querySelector('.main-svg').getBoundingClientRect().height > 600")
    checked.accessible()
    page.keyboard.press("Escape")
    expect(full).to_have_count(0)
    expect(page.locator(".chart-grid #chart-loss")).to_be_visible()
    checked.accessible()
    page.reload()
    until(page, f"{PLOT}?.data?.[3].y.length > 300")  # the choices of a person stay
    assert page.evaluate(f"{PLOT}.layout.yaxis.type") == "log"
    expect(page.locator("#chart-axis")).to_have_value("time")
    checked.close()


def test_what_is_not_a_number_and_what_happened_is_marked_and_leads_to_the_log(page: Page, site: Site) -> None:
    task = site.platform.task("f1")
    curve = Buckets()
    for step in range(1, 401):
        curve.add(step, math.nan if step in (120, 121) else 3.0, task.created_at + step)
    site.platform.curves.extra[task.id, "train/loss"] = curve
    site.platform.curves.happened[task.id] = [
        Mark("checkpoint", step, task.created_at + step, "", f"step_{step}") for step in range(1, 401)
    ] + [Mark("event", 300, task.created_at + 300, "<b>odd</b>", "checkpoint_fallback")]
    shown(page, "/tasks/f1")
    until(page, f"{PLOT}.data?.[2].x.length > 300")
    traces = page.evaluate(f"{PLOT}.data.map(({{name, x, text}}) => [name, [...x], [].concat(text || [])])")
    by_name = {name: (xs, words) for name, xs, words in traces}
    assert by_name["not a number"][0] == [120, 121]
    expect(page.locator("[data-chart=loss] .key-nan")).to_have_text("× 2 not a number")
    assert 100 < len(by_name["Checkpoint"][0]) < 300  # those within a few pixels share a symbol
    assert "&lt;b&gt;odd" in by_name["Event"][1][0] and "300" in by_name["Event"][1][0]
    expect(page.locator(".chart-symbols")).to_contain_text("Checkpoint")

    page.evaluate("document.addEventListener('log-at', event => { window.opened = event.detail.t; })")
    mark = page.locator("#chart-loss .xy2 .trace path.point").last.bounding_box()
    assert mark
    page.mouse.click(mark["x"] + mark["width"] / 2, mark["y"] + mark["height"] / 2)
    until(page, "window.opened > 0")
    assert page.evaluate("window.opened") >= task.created_at


def test_a_page_that_is_open_before_the_first_point_draws_it(page: Page, site: Site) -> None:
    task = site.platform.task("b3")
    curve = site.platform.curves.extra[task.id, "train/loss"] = Buckets()
    shown(page, "/tasks/b3")
    expect(page.locator("#chart-loss .chart-empty")).not_to_be_empty()
    page.wait_for_timeout(1500)
    curve.add(1, 8.5, task.created_at + 1)
    expect(page.locator("#chart-loss .trace .point").first).to_be_visible()


def test_buckets_join_in_the_browser_as_on_the_server(page: Page) -> None:
    shown(page, "/tasks")
    numbers = random.Random(5)
    curve, known = Buckets(), None
    for size in (300, 1, 900, 40, 3_000, 1, 9_000):
        begin = (curve.newest or 0) + 1
        for step in range(begin, begin + size):
            curve.add(step, math.nan if step % 97 == 0 else numbers.gauss(3, 1), float(step))
        since = page.evaluate("known => known ? mm.curves.since('k', known) : ''", known)
        asked = tuple(int(part) for part in since.split(":")[1:]) if since else None
        part = curve.part(asked)  # type: ignore[arg-type]
        assert part
        known = page.evaluate("([known, fresh]) => mm.curves.joined(known, fresh)", [known, sent(part)])
    whole = page.evaluate("fresh => mm.curves.whole(fresh)", sent(curve.part()))
    assert known and known["width"] == whole["width"] > 1
    for name in ("steps", "last", "low", "high", "count", "times", "nans"):
        assert known[name] == whole[name], name
    assert known["mean"] == pytest.approx(whole["mean"], rel=1e-5)
    assert page.evaluate("mm.curves.interpolated([0, 10], [5, 25], 4)") == 13


def sent(part: CurvePart | None) -> dict[str, Any]:
    assert part
    return curve_views({"k": part})["k"]
