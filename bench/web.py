"""How fast the pages are, beside MLflow's own page of the same run in the same browser, and what open pages cost.

    python bench/web.py [--steps 1000000] [--tasks 10000] [--pages 20] [--only first,tasks]

Real servers over a home in /tmp, and Debian's chromium. The long run is logged into the tracking database by somebody
else: no task's record, no file of ours.
"""

import argparse
import json
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from playwright.sync_api import Browser, Error, Page, Playwright, sync_playwright
from web_site import Site, beside, machine, site

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
ARGUMENTS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
DRAWN = "Boolean(document.querySelector('.js-plotly-plot .scatterlayer path.js-line'))"
VISITS = 3
ROWS = "Boolean(document.querySelector('#task-list tbody tr[data-task]'))"
# Watches what the charts have drawn: when each step was first in their data.
WATCH = """() => {
  window.seen = {};
  setInterval(() => {
    for (const plot of document.querySelectorAll('.js-plotly-plot')) {
      for (const trace of plot.data || []) {
        const x = trace.x && trace.x.length ? trace.x[trace.x.length - 1] : "";
        if (!(x in window.seen)) { window.seen[x] = Date.now(); }
      }
    }
  }, 50);
}"""
# An hour of updates in minutes: rounds follow one another at once, and only pauses of the page's own are shortened.
HURRY = """
const wait = window.setTimeout;
window.setTimeout = (act, time, ...more) => wait(act, time >= 900 ? 15 : time, ...more);
"""


@dataclass
class Results:
    """Lines of the table."""

    lines: list[tuple[str, str, str]] = field(default_factory=list)

    def add(self, what: str, value: str, target: str = "") -> None:
        self.lines.append((what, value, target))
        print(f"{what:<72}{value:>24}   {target}", flush=True)

    def table(self) -> str:
        rows = [f"| {what} | {value} | {target} |" for what, value, target in self.lines]
        return "\n".join(["| | measured | wanted |", "|---|---|---|", *rows])


def until(page: Page, condition: str, seconds: float = 60.0) -> float:
    """Seconds until a condition in the page is true."""
    began = time.perf_counter()
    while not _true(page, condition):
        if time.perf_counter() - began > seconds:
            raise SystemExit(f"not true within {seconds} s on {page.url}: {condition}")
        time.sleep(0.01)
    return time.perf_counter() - began


def _true(page: Page, condition: str) -> bool:
    try:
        return page.evaluate(condition)
    except Error:  # the page is on its way to another address
        return False


def opened(page: Page, url: str, condition: str) -> float:
    """Seconds from asking for a page until it shows something."""
    began = time.perf_counter()
    page.goto(url, wait_until="commit")
    until(page, condition)
    return time.perf_counter() - began


@contextmanager
def profile(playwright: Playwright) -> Iterator[Page]:
    """A page of a browser with a folder of its own, as people's have: what was fetched and compiled is kept there."""
    with tempfile.TemporaryDirectory(prefix="minimind-profile-") as folder:
        context = playwright.chromium.launch_persistent_context(
            folder, executable_path=CHROMIUM, args=ARGUMENTS, viewport={"width": 1440, "height": 900}
        )
        yield context.pages[0]
        context.close()


def again(page: Page, url: str, condition: str, rounds: int) -> list[float]:
    """Seconds of each round in a browser that has seen the page three times: by then it keeps compiled scripts."""
    times = []
    for _ in range(VISITS + rounds):
        times.append(opened(page, url, condition))
        page.goto("about:blank")
    return times[VISITS:]


def first_charts(playwright: Playwright, found: Site, results: Results, rounds: int) -> None:
    """The first chart of a long run: with servers and browser that know nothing, and opened again."""
    mlflow = (
        f"{found.settings.tracking}/#/experiments/0/runs/{found.their_run}/model-metrics?workflowType=machine_learning"
    )
    pages = {"task page": f"{found.url}/tasks/{found.long_run}", "run page": f"{found.url}/runs/{found.their_run}"}
    for name, url in (*pages.items(), ("MLflow's run page", mlflow)):
        cold = []
        for _ in range(rounds):
            if "MLflow" not in name:
                found.restart_web()
            with profile(playwright) as page:
                cold.append(opened(page, url, DRAWN))
        with profile(playwright) as page:
            warm = again(page, url, DRAWN, 2 * rounds)
        wanted = ("1.5 s", "0.5 s") if name == "task page" else ("", "")
        results.add(f"{name}, first chart, cold", _seconds(cold), wanted[0])
        results.add(f"{name}, first chart, warm", _seconds(warm), wanted[1])


def tasks_page(playwright: Playwright, found: Site, results: Results, rounds: int) -> None:
    with profile(playwright) as page:
        first = opened(page, f"{found.url}/tasks", ROWS)
    with profile(playwright) as page:
        times = again(page, f"{found.url}/tasks", ROWS, 2 * rounds)
    results.add("tasks page with 10,000 tasks, first rows, opened for the first time", _seconds([first]))
    results.add("tasks page with 10,000 tasks, first rows", _seconds(times), "500 ms")


def live_pages(browser: Browser, found: Site, results: Results, count: int, seconds: int) -> None:
    """From the trainer's record to the screen, with many pages open; the size of an update."""
    writer = beside("bench/web_clients.py", "write", str(found.settings.task_dir(found.live_run)), str(seconds + 40))
    time.sleep(1.0)
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    sizes: list[int] = []
    pages = [context.new_page() for _ in range(count)]
    for page in pages:
        opened(page, f"{found.url}/tasks/{found.live_run}", DRAWN)
        page.evaluate(WATCH)
    client = context.new_cdp_session(pages[0])
    client.send("Network.enable")
    live: set[str] = set()
    client.on(
        "Network.responseReceived", lambda e: live.add(e["requestId"]) if "/live" in e["response"]["url"] else None
    )
    client.on(
        "Network.loadingFinished", lambda e: sizes.append(e["encodedDataLength"]) if e["requestId"] in live else None
    )
    cpu, began = found.web_cpu(), time.perf_counter()
    pages[0].wait_for_timeout(seconds * 1000)
    used = (found.web_cpu() - cpu) / (time.perf_counter() - began)
    seen = [page.evaluate("window.seen") for page in pages]
    writer.terminate()
    written = json.loads(writer.communicate()[0].splitlines()[-1])
    late = [
        (at - written[step]) / 1000
        for page in seen
        for step, at in page.items()
        if step in written and at > min(page.values())  # what was there when the watch began tells nothing
    ]
    results.add(f"from the trainer's record to the screen, {count} pages open, median", _seconds(late), "2 s")
    results.add(f"the same, 95 of 100 ({len(late)} points)", f"{_percentile(late, 95):.2f} s")
    results.add("one update of a live page on the wire, median", f"{statistics.median(sizes):,.0f} bytes", "20 kB")
    results.add("the largest of them", f"{max(sizes):,} bytes", "20 kB")
    results.add(f"web app with {count} live pages", f"{used * 100:.0f} % of a core")
    context.close()


def idle_pages(browser: Browser, found: Site, results: Results, count: int, seconds: int) -> None:
    """What pages of an ended task cost that are only open."""
    context = browser.new_context()
    pages = [context.new_page() for _ in range(count)]
    for page in pages:
        opened(page, f"{found.url}/tasks/{found.ended_run}", DRAWN)
    pages[0].wait_for_timeout(3_000)
    cpu, began = found.web_cpu(), time.perf_counter()
    pages[0].wait_for_timeout(seconds * 1000)
    used = (found.web_cpu() - cpu) / (time.perf_counter() - began)
    results.add(f"web app with {count} open pages of an ended task", f"{used * 100:.2f} % of a core", "next to nothing")
    context.close()


def memory(browser: Browser, found: Site, results: Results, updates: int) -> None:
    """The heap of a page that stays open, after as many updates as an hour brings."""
    writer = beside("bench/web_clients.py", "write", str(found.settings.task_dir(found.live_run)), "600", "0.02")
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    context.add_init_script(HURRY)
    page = context.new_page()
    counted = [0]
    page.on("response", lambda answer: counted.__setitem__(0, counted[0] + ("/live" in answer.url)))
    opened(page, f"{found.url}/tasks/{found.live_run}", DRAWN)
    client, heaps = context.new_cdp_session(page), []
    for part in (updates // 4, updates // 2, updates):
        deadline = time.monotonic() + 240
        while counted[0] < part and time.monotonic() < deadline:
            page.wait_for_timeout(200)
        client.send("HeapProfiler.collectGarbage")
        heaps.append((counted[0], client.send("Runtime.getHeapUsage")["usedSize"] / 1e6))
    told = ", ".join(f"{size:.1f} MB after {count:,}" for count, size in heaps)
    results.add("heap of a page that stays open, by updates", told, "no growth")
    writer.terminate()
    context.close()


def polling(found: Site, results: Results, clients: int, seconds: int) -> None:
    """Many clients that ask once a second each."""
    live = f"/api/tasks/{found.long_run}/live?keys=train/loss,eval/loss,train/learning_rate&offset=-1"
    for name, path in (("/live", live), ("/api/tasks", "/api/tasks?limit=25")):
        cpu = found.web_cpu()
        command = ("bench/web_clients.py", "poll", found.url + path, str(clients), str(seconds))
        told = json.loads(beside(*command).communicate()[0])
        used = (found.web_cpu() - cpu) / seconds * 100
        value = f"{told['p50'] * 1000:.0f} ms, {told['p95'] * 1000:.0f} ms, {used:.0f} % of a core"
        results.add(f"{clients} clients asking {name} once a second: median, 95 of 100", value, "95 of 100: 200 ms")
    told = json.loads(beside("bench/web_clients.py", "poll", found.url + live, "1", "10").communicate()[0])
    results.add("one update, server time and way, one client", f"{told['p50'] * 1000:.0f} ms", "50 ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=1_000_000)
    parser.add_argument("--tasks", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pages", type=int, default=20)
    parser.add_argument("--only", default="", help="first, tasks, poll, live, idle, memory")
    options = parser.parse_args()
    results = Results()
    print(f"{machine()}; {time.strftime('%Y-%m-%d')}")
    with site(options.steps, options.tasks) as found, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        parts: dict[str, Callable[[], None]] = {
            "first": lambda: first_charts(playwright, found, results, options.rounds),
            "tasks": lambda: tasks_page(playwright, found, results, options.rounds),
            "poll": lambda: polling(found, results, 50, 20),
            "live": lambda: live_pages(browser, found, results, options.pages, 30),
            "idle": lambda: idle_pages(browser, found, results, options.pages, 15),
            "memory": lambda: memory(browser, found, results, 3_600),
        }
        for name in options.only.split(",") if options.only else parts:
            parts[name]()
        browser.close()
    print(f"\n{results.table()}")


def _seconds(times: list[float]) -> str:
    return f"{statistics.median(times):.2f} s"


def _percentile(values: list[float], percent: int) -> float:
    return sorted(values)[min(len(values) - 1, len(values) * percent // 100)]


if __name__ == "__main__":
    main()
