"""Tells people by a webhook what the watchdog has found, off the path of the scheduler.

    notices = Notices(settings)
    notices.tell(task, records)        # returns at once; a thread of its own sends

Each notice is one POST of JSON. What was told of a task is noted in its folder, so that a scheduler that is started
again tells nothing twice.
"""

import json
import logging
import queue
import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from minimind_platform import runner
from minimind_platform.settings import Settings
from minimind_platform.tasks import Task

log = logging.getLogger(__name__)
TIMEOUT_SECONDS = 5.0
PAUSES = (1.0, 5.0, 25.0)
"""Seconds between the tries to send one notice."""
MOST_WAITING = 1000
TOLD = "notices.json"


class Notices:
    """Sends notices. Without a webhook in the settings it does nothing."""

    def __init__(self, settings: Settings, pauses: Sequence[float] = PAUSES) -> None:
        self._settings, self._pauses = settings, pauses
        self._waiting: queue.Queue[dict[str, Any]] = queue.Queue(MOST_WAITING)
        self._thread: threading.Thread | None = None

    def tell(self, task: Task, found: Iterable[dict[str, Any]]) -> None:
        """Send those of a task's events, `{"name", "text", "step", "t"}`, that were not sent before."""
        path = self._settings.task_dir(task.id) / TOLD
        if not self._settings.webhook_url:
            return
        until = _told_until(path)
        fresh = [event for event in found if event["t"] > until]
        if not fresh:
            return
        runner.write(path, {"t": max(event["t"] for event in fresh)})
        for event in fresh:
            self._enqueue(
                {"task": task.id, "task_name": task.name, "type": task.type, "state": task.state.value} | event
            )

    def wait(self, seconds: float) -> bool:
        """Until all is sent or given up; whether it is."""
        give_up = time.monotonic() + seconds
        while self._waiting.unfinished_tasks and time.monotonic() < give_up:
            time.sleep(0.01)
        return not self._waiting.unfinished_tasks

    def _enqueue(self, notice: dict[str, Any]) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="notices", daemon=True)
            self._thread.start()
        try:
            self._waiting.put_nowait(notice)
        except queue.Full:
            log.warning("Too many notices wait for the webhook; one about task %s is dropped.", notice["task"])

    def _work(self) -> None:
        while True:
            notice = self._waiting.get()
            try:
                self._send(notice)
            finally:
                self._waiting.task_done()

    def _send(self, notice: dict[str, Any]) -> None:
        host = urlsplit(self._settings.webhook_url).hostname  # the rest of the address may be a secret
        problem = ""
        for pause in (0.0, *self._pauses):
            time.sleep(pause)
            try:
                answer = httpx.post(self._settings.webhook_url, json=notice, timeout=TIMEOUT_SECONDS)
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                problem = type(error).__name__
                continue
            if answer.status_code < 300:
                return
            problem = f"status {answer.status_code}"
            if answer.status_code < 500 and answer.status_code != 429:
                break  # it will not like it better later
        log.warning("The webhook at %s did not take a notice about task %s (%s).", host, notice["task"], problem)


def _told_until(path: Path) -> int:
    """Time of the newest event that was told, in milliseconds."""
    try:
        return int(json.loads(path.read_text(encoding="utf-8"))["t"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0
