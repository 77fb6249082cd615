"""What people, data and programs have written stays text on every page, whatever it looks like.

The table: names, settings, errors, hints, reasons, log lines, colours of terminals, names of models, aliases, data
files, weight files, sweeps, sample texts, metrics. Each holds all of `TRICKS` at once.
"""

import json
from dataclasses import replace
from typing import Any

import pytest
from browser_site import Checked, Site, shown
from playwright.sync_api import Browser, expect

from minimind_platform.curves.buckets import Buckets
from minimind_platform.machine.views import Notice
from minimind_platform.tasks import TaskEvent
from minimind_platform.views import Job, JobState
from trainer.configs import parse_config
from trainer.names import TaskFile

pytestmark = pytest.mark.browser
TRICKS = (
    "<script>window.owned = 1</script>",
    '<img src=x onerror="window.owned = 2">',
    '"><svg onload="window.owned = 3">',
    "'onmouseover='window.owned = 4",
    "</div></textarea></title><b id=owned>bold</b>",
    "javascript:window.owned = 5",
    "{owned} {0} %(owned)s ${window.owned = 6}",
    "[link](javascript:window.owned=7)",
    "\u202ertl",
)
HOSTILE = " ".join(TRICKS)
OWNED = "window.owned || document.getElementById('owned') || document.querySelector('img[src=x], svg[onload]')"
PAGES = (
    "/tasks", "/tasks?state=FAILED", "/tasks/a2", "/tasks/c4", "/tasks/c4#settings", "/tasks/c4#history", "/tasks/0a",
    "/tasks/0a#samples", "/tasks/f1#checkpoints", "/new?clone=c4", "/models", "/data", "/sweeps", "/sweeps/51",
    "/sweeps/52#trials", "/sweeps/new?like=51", "/trash", "/system",
)  # fmt: skip
TERMINAL = "\x1b[31m{0}\x1b[0m \x1b]8;;javascript:window.owned=8\x1b\\link\x1b]8;;\x1b\\ \x1b[2J\x1b]0;{0}\x07 {0}"


def poison(platform: Any) -> None:
    """Write the tricks wherever the platform takes text from outside."""
    for key, task in platform.all.items():
        config = {name: HOSTILE if isinstance(value, str) else value for name, value in task.config.items()}
        said = {name: HOSTILE for name in ("error", "hint", "waits_for") if getattr(task, name)}
        platform.all[key] = replace(task, name=HOSTILE, config=task.config | config, **said)
        platform.history[key] = [TaskEvent(e.at, e.attempt, e.before, e.after, HOSTILE) for e in platform.history[key]]
    at = platform.task("c4").created_at
    platform.written[platform.task("c4").id] += f"2026-11-23 13:26:15 ERROR {TERMINAL.format(HOSTILE)}\n".encode()
    sft = platform._add("0a", HOSTILE, "sft", platform.task("c4").state, at, 40, 100, 128)
    config = parse_config("grpo", {"data_path": HOSTILE, "from_weight": HOSTILE}).model_dump()
    grpo = platform.all[sft.id] = replace(sft, type="grpo", config=config)
    sample = {"step": 1, "prompt": HOSTILE, "completion": HOSTILE, "gt": [HOSTILE], "reward": 1.0, "problem": HOSTILE}
    sample |= {"rewards": {HOSTILE: 1.0}, "advantage": 0.1, "tokens": 3, "ended": True}
    folder = platform.settings.task_dir(grpo.id)
    folder.mkdir(parents=True)
    (folder / TaskFile.SAMPLES).write_text(json.dumps(sample) + "\n")
    platform.versions = [replace(v, name=HOSTILE, aliases=[HOSTILE], base=HOSTILE) for v in platform.versions]
    platform.files = [replace(file, name=HOSTILE) for file in platform.files]
    platform.data = [replace(found, path=HOSTILE, name=HOSTILE) for found in platform.data]
    for key, sweep in platform.sweeps.all.items():
        platform.sweeps.all[key] = replace(sweep, name=HOSTILE, reason=HOSTILE)
        trials = platform.sweeps.made[key]
        platform.sweeps.made[key] = [replace(trial, reason=HOSTILE) for trial in trials]
    gone, user = [task for task in platform.all.values() if task.ended and task.type == "pretrain"][:2]
    platform.trash.need(gone, user)
    platform.delete(gone.id)
    platform.trash.job = Job("j", "purge", "1", JobState.FAILED, at, error=HOSTILE)
    platform.curves.foreign["c" * 32] = {HOSTILE: Buckets()}
    machine = platform.machine
    machine.notices = [Notice("idle_gpu", HOSTILE, {"task": HOSTILE, "minutes": 7})]
    machine.gpus = [replace(gpu, name=HOSTILE) for gpu in machine.gpus]
    machine.trouble = HOSTILE


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.fault("script in a name, log or error")
def test_what_looks_like_code_is_shown_and_never_run(browser: Browser, site: Site, language: str) -> None:
    poison(site.platform)
    checked = Checked(browser, site, language)
    compared = f"/compare?ids={','.join([*list(site.platform.all)[:2], 'c' * 32])}"
    for path in (*PAGES, compared, f"{compared}#settings", f"/runs/{'c' * 32}"):
        shown(checked.page, path)
        expect(checked.page.get_by_text("window.owned = 1").first).to_be_attached()
        checked.page.wait_for_timeout(300)
        assert not checked.page.evaluate(OWNED), path
        links = checked.page.locator("a[href^='javascript:' i]")
        assert links.count() == 0, path
    checked.close()
