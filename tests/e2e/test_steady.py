"""Pages that are left open: what refreshes moves nothing under the reader's eyes, and nothing piles up."""

import pytest
from browser_site import Checked, Site, shown
from playwright.sync_api import Browser

pytestmark = pytest.mark.browser
PAGES = ("/tasks", "/tasks/a2", "/tasks/c4", "/sweeps")
WATCH = """window.moved = [];
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) {
    if (entry.hadRecentInput) { continue; }
    window.moved.push([entry.value, ...entry.sources.map((s) => s.node && (s.node.id || s.node.className))]);
  }
}).observe({ type: "layout-shift" });"""
"""Notes what moves from now on, as browsers judge it (Layout Instability API)."""
NOTHING = 0.001
"""A hundredth of what browsers call good: a time that is aligned at its end begins elsewhere when it gets shorter."""
NODES = "document.getElementsByTagName('*').length"


@pytest.mark.parametrize("width", [1280, 390])
def test_a_refresh_moves_nothing_and_nothing_piles_up(browser: Browser, site: Site, width: int) -> None:
    site.platform.steps_a_second = 400.0  # minutes of a training, in seconds
    checked = Checked(browser, site, width=width)
    pages = {path: checked.context.new_page() for path in PAGES}  # all at once: what takes time is the waiting
    for path, page in pages.items():
        shown(page, path)
    checked.page.wait_for_timeout(2_500)  # charts and log have come
    nodes = {path: page.evaluate(f"{WATCH} {NODES}") for path, page in pages.items()}
    checked.page.wait_for_timeout(6_000)
    for path, page in pages.items():
        moved = page.evaluate("window.moved")
        assert sum(move[0] for move in moved) < NOTHING, (path, moved)
        assert page.evaluate(NODES) <= nodes[path] * 1.1 + 50, path
    checked.close()
