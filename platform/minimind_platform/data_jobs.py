"""What the Data page asks for: statistics of a file, a look at its rows, and downloads from the hub.

Statistics and downloads are background jobs. The result of statistics is kept with what it depends on, the state of the
file and the settings, so asking again costs nothing until the file changes.
"""

import sys
from pathlib import Path
from typing import Any

from minimind_platform.errors import NotFoundError, PlatformError, Problem, SettingsError
from minimind_platform.jobs import Jobs
from minimind_platform.paths import Paths
from minimind_platform.previews import Previews
from minimind_platform.settings import Settings
from minimind_platform.views import HubEntry, Job
from trainer.configs import MAX_POSITIONS, TRAINING_TYPES
from trainer.errors import DataError
from trainer.hub_files import ITEMS, similar
from trainer.sources import open_data

SEQ_LEN = (8, MAX_POSITIONS)
MOST_ROWS = 50
LAST_ROW = 10**9
COMMAND = (sys.executable, "-m", "trainer.data_cli")


class DataJobs:
    """Looks into data files and fetches them."""

    def __init__(self, settings: Settings, paths: Paths, jobs: Jobs) -> None:
        self._settings = settings
        self._paths = paths
        self._jobs = jobs
        self._previews = Previews(settings.home)

    def stats(self, path: str, type_name: str, max_seq_len: int, again: bool) -> Job:
        """Statistics of a data file, as a job: begun, running or done."""
        options = _options(type_name, max_seq_len)
        file = self._paths.data(path)
        key = f"stats {_state(file)} {options}"
        known = self._jobs.find(key)
        if known and not again:
            return known
        return self._jobs.start(
            "stats", self._paths.shorten(file), [*COMMAND, "stats", str(file), *options, "--json"], key
        )

    def preview(self, path: str, type_name: str, max_seq_len: int, start: int, rows: int) -> dict[str, Any]:
        """Some rows of a data file as a training sees them."""
        options = _options(type_name, max_seq_len)
        problems = _range_problem("start", start, 0, LAST_ROW) + _range_problem("rows", rows, 1, MOST_ROWS)
        if problems:
            raise SettingsError(problems)
        file = self._paths.data(path)
        return self._previews.rows(file, _state(file), options, start, rows)

    def entries(self) -> list[HubEntry]:
        """What can be fetched from the hub, and how much of it is there."""
        home = self._settings.home
        jobs = {job.label: job for job in reversed(self._jobs.all("fetch"))}
        return [
            HubEntry(
                name=item.name, kind=item.kind, format=item.format, bytes=item.bytes, about=item.about,
                licence=item.licence, source=item.repo, path=item.path, found=item.found(home),
                part_bytes=item.part_bytes(home), job=jobs.get(item.name),
                tokenizer=ITEMS[item.tokenizer].path if item.tokenizer else "",
            )
            for item in ITEMS.values()
        ]  # fmt: skip

    def fetch(self, name: str) -> Job:
        """Fetch something from the hub, as a job."""
        item = ITEMS.get(name)
        if item is None:
            close = similar(name)
            hint = f"Did you mean {' or '.join(close)}?" if close else ""
            raise NotFoundError(f"Nothing can be fetched by the name {name!r}.", hint)
        key = f"fetch {name}"
        known = self._jobs.find(key)
        if known and known.state == "done" and not item.found(self._settings.home):
            self._jobs.remove(known.id)  # it was deleted since
        return self._jobs.start("fetch", name, [*COMMAND, "fetch", name, "--json"], key)


def _state(path: Path) -> str:
    """What changes with the data: name, size and time of every file."""
    try:
        return f"{path} {open_data(path).state()}"
    except DataError as error:
        raise PlatformError(error.message, error.hint) from None


def _options(type_name: str, max_seq_len: int) -> list[str]:
    """Settings as the command takes them; a type that is not known or a length out of range is refused."""
    problems = _range_problem("max_seq_len", max_seq_len, *SEQ_LEN) if max_seq_len else []
    if type_name and type_name not in TRAINING_TYPES:
        choices = ", ".join(TRAINING_TYPES)
        message = f"There is no training type {type_name!r}; known are {choices}."
        problems.append(Problem("type", "unknown_type", message, {"type": type_name, "choices": choices}))
    if problems:
        raise SettingsError(problems)
    options = ["--type", type_name] if type_name else []
    return options + (["--max_seq_len", str(max_seq_len)] if max_seq_len else [])


def _range_problem(name: str, value: int, least: int, most: int) -> list[Problem]:
    message = f"Use a number from {least:,} to {most:,}, got {value:,}."
    if value < least:
        return [Problem(name, "greater_than_equal", message, {"ge": least, "value": value})]
    return [Problem(name, "less_than_equal", message, {"le": most, "value": value})] if value > most else []
