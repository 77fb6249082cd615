"""Pictures of all pages in both languages and themes, wide and narrow, for people to look at.

python tests/e2e/take_screens.py OUT_DIR                              # of the data that tests use: `make screens`
python tests/e2e/take_screens.py OUT_DIR http://127.0.0.1:8050 [TASK_ID] [WORDS_IN_FILE_NAME]     # of a running app
"""

import itertools
import json
import shutil
import sys
import tempfile
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import urlopen

from playwright.sync_api import sync_playwright

sys.path.insert(0, str(Path(__file__).parent))
from browser_site import running_site

ARGUMENTS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
WHOLE = ("new", "task", "models", "data", "opened", "new-sweep", "sweep", "effects", "setup", "trash", "system")
"""Pages whose pictures show what is below the screen too."""
SIZES = {"wide": (1440, 900), "phone": (390, 844)}


def pages_of(url: str, task_id: str) -> dict[str, str]:
    """Paths by file name; the task is the given one or the newest that runs."""
    if not task_id:
        with urlopen(f"{url}/api/tasks?limit=50") as answer:
            tasks = json.load(answer)["tasks"]
        running = [task["id"] for task in tasks if task["state"] == "RUNNING"]
        task_id = (running or [task["id"] for task in tasks] or ["none"])[0]
    task = f"/tasks/{task_id}"
    with urlopen(f"{url}/api/compare/runs") as answer:
        compared = ",".join(
            run["id"] for run in json.load(answer)["runs"] if run["state"] not in ("QUEUED", "STARTING")
        )
    with urlopen(f"{url}/api/sweeps?limit=50") as answer:
        sweeps = json.load(answer)["sweeps"]
    most = max(sweeps, key=lambda sweep: sweep["done"], default={"id": "none"})  # with the most to see
    sweep = f"/sweeps/{most['id']}"
    with urlopen(f"{url}/api/datasets") as answer:
        data = next((found["path"] for found in json.load(answer) if found["format"] == "sft"), "")
    return {
        "tasks": "/tasks", "none-match": "/tasks?q=no-such-words", "new": "/new", "models": "/models", "task": task,
        "settings": f"{task}#settings", "checkpoints": f"{task}#checkpoints", "history": f"{task}#history",
        "missing": "/tasks/nope", "data": "/data", "opened": f"/data?{urlencode({'path': data})}" if data else "/data",
        "compare": f"/compare?ids={compared}", "values": f"/compare?ids={compared}#values",
        "differing": f"/compare?ids={compared}#settings", "compare-empty": "/compare",
        "trash": "/trash", "system": "/system", "sweeps": "/sweeps", "new-sweep": f"/sweeps/new?like={most['id']}",
        "sweep": sweep, "effects": f"{sweep}#effects", "trials": f"{sweep}#trials", "setup": f"{sweep}#setup",
    }  # fmt: skip


def main(out: Path, url: str, task_id: str = "", only: str = "") -> None:
    """Write one picture for each page, language, theme and size."""
    out.mkdir(parents=True, exist_ok=True)
    pages = pages_of(url, task_id)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=ARGUMENTS)
        for language, theme, size in itertools.product(("en", "zh"), ("light", "dark"), SIZES):
            width, height = SIZES[size]
            context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=theme)  # type: ignore[arg-type]
            context.add_cookies([{"name": "lang", "value": language, "url": url}])
            opened = {}
            for name, path in pages.items():
                if only in f"{name}-{language}-{theme}-{size}":
                    opened[name] = page = context.new_page()
                    page.on("console", lambda m: print(m.type, m.text) if m.type in ("error", "warning") else None)
                    page.on("pageerror", lambda e: print("page error", e))
                    page.goto(url + path)
            for name, page in opened.items():
                page.locator("h1, .empty").first.wait_for()
                page.wait_for_timeout(300)
                page.screenshot(path=out / f"{name}-{language}-{theme}-{size}.png", full_page=name in WHOLE)
                page.close()
            context.close()
        browser.close()


if __name__ == "__main__":
    out, *more = sys.argv[1:]
    if more:
        main(Path(out), *more)
    else:
        with tempfile.TemporaryDirectory() as home, running_site(Path(home)) as site:
            main(Path(out), site.url)
