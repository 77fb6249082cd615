"""A web app around the platform in memory, in a real browser, for the tests of pages.

with running_site(tmp_path) as site:
    checked = Checked(browser, site, "zh", "dark", width=390)
    shown(checked.page, "/tasks")
    checked.accessible()
    checked.close()
"""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import uvicorn
from playwright.sync_api import Browser, Page, expect

sys.path.insert(0, str(Path(__file__).parent.parent / "dash_app"))
from fake_platform import FakePlatform

from dash_app.app import create_app

AXE = (Path(__file__).parent / "axe" / "axe.min.js").read_text(encoding="utf-8")


@dataclass
class Site:
    """A running web app and the platform behind it."""

    url: str
    platform: FakePlatform


@contextmanager
def running_site(home: Path) -> Iterator[Site]:
    """The web app on a port of its own."""
    platform = FakePlatform.with_data(home)
    config = uvicorn.Config(
        create_app(platform), host="127.0.0.1", port=0, log_level="error", timeout_graceful_shutdown=1
    )  # type: ignore[arg-type]
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield Site(f"http://127.0.0.1:{port}", platform)
    server.should_exit = True
    thread.join(5)


class Checked:
    """A page that must neither log errors nor ask other hosts."""

    def __init__(
        self, browser: Browser, site: Site, language: str = "en", theme: Any = "light", width: int = 1280
    ) -> None:
        self.faults: list[str] = []
        self.context = browser.new_context(
            base_url=site.url, color_scheme=theme, viewport={"width": width, "height": 844}
        )
        self.context.add_cookies([{"name": "lang", "value": language, "url": site.url}])
        self.page = self.context.new_page()
        self.page.on(
            "console",
            lambda m: self.faults.append(m.text) if m.type == "error" and "status of 4" not in m.text else None,
        )
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        host = urlsplit(site.url).netloc
        self.page.on(
            "request", lambda r: self.faults.append(r.url) if urlsplit(r.url).netloc not in (host, "") else None
        )
        self.page.on("dialog", lambda d: self.faults.append(f"dialog {d.message}"))

    def accessible(self) -> None:
        """No serious finding of axe on what is shown now."""
        self.page.evaluate(AXE)
        found = self.page.evaluate("axe.run({runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa']})")
        serious = [
            (v["id"], [n["html"][:160] for n in v["nodes"]][:3])
            for v in found["violations"]
            if v["impact"] in ("serious", "critical")
        ]
        assert serious == [], self.page.url

    def close(self) -> None:
        self.context.close()
        assert self.faults == []


def shown(page: Page, path: str) -> None:
    page.goto(path)
    expect(page.locator(".page, .empty").first).to_be_visible()
    if path.startswith("/tasks") and page.locator("#task-list").count():
        expect(page.locator("#task-list[aria-busy]")).to_have_count(0)


def until(page: Page, condition: str, seconds: float = 15.0) -> None:
    """Wait for a condition in JavaScript. Playwright's own way evaluates text in the page, which the pages forbid."""
    deadline = time.monotonic() + seconds
    while not page.evaluate(condition):
        assert time.monotonic() < deadline, f"not true within {seconds} s: {condition}"
        page.wait_for_timeout(100)
