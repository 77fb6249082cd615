"""`minimind doctor`: looks at everything that a training needs and says what to do about what is wrong.

for finding in examine(settings): print(finding.level, finding.text, finding.hint)
"""

import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from minimind_platform.errors import PlatformError
from minimind_platform.home import as_running, check_port
from minimind_platform.settings import Settings

LOW_DISK, VERY_LOW_DISK = 5e9, 0.5e9
OLDEST_PYTHON = (3, 11)


@dataclass(frozen=True)
class Finding:
    """One line of the report."""

    what: str
    level: Literal["ok", "warn", "fail"]
    text: str
    hint: str = ""


def run(home: str | None, as_json: bool) -> int:
    """Print the report; the exit code is 1 if something failed."""
    findings = list(examine(as_running(Settings.load(home=home))))
    if as_json:
        print(json.dumps([asdict(finding) for finding in findings], ensure_ascii=False, indent=2))
    else:
        for finding in findings:
            hint = f" {finding.hint}" if finding.hint else ""
            print(f"{finding.level:<4}  {finding.what:<15} {finding.text}{hint}")
    return 1 if any(finding.level == "fail" for finding in findings) else 0


def examine(settings: Settings) -> Iterator[Finding]:
    """Look at one thing after another."""
    yield _python()
    yield _home(settings)
    yield _disk(settings)
    alive = _tracking_alive(settings)
    yield _port(settings.port, "web app", "--port", _answers(settings.port))
    if not settings.tracking_uri:
        yield _port(settings.tracking_port, "tracking server", "--tracking-port", alive)
    yield from _queue(settings, alive)
    yield _tracking_database(settings)
    yield _gpus()
    yield _tokenizer()


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < OLDEST_PYTHON:
        return Finding("Python", "fail", f"{version} is too old.", "Install Python 3.11 or newer.")
    if sys.platform != "linux":
        return Finding("Python", "warn", f"{version} on {sys.platform}.", "Linux is the supported system.")
    return Finding("Python", "ok", version)


def _home(settings: Settings) -> Finding:
    try:
        with tempfile.TemporaryFile(dir=settings.home):
            return Finding("home folder", "ok", f"{settings.home} is writable.")
    except OSError as error:
        return Finding("home folder", "fail", f"{settings.home}: {error.strerror}.", "Choose another with --home.")


def _disk(settings: Settings) -> Finding:
    try:
        free = shutil.disk_usage(settings.home).free
    except OSError as error:
        return Finding("disk", "fail", f"{settings.home}: {error.strerror}.")
    level = "fail" if free < VERY_LOW_DISK else "warn" if free < LOW_DISK else "ok"
    hint = "" if level == "ok" else "Delete old checkpoints in out/, or lower keep_checkpoints."
    return Finding("disk", level, f"{free / 1e9:.1f} GB free.", hint)


def _port(port: int, what: str, flag: str, ours: bool) -> Finding:
    if ours:
        return Finding(what, "ok", f"answers on port {port}.")
    try:
        check_port("127.0.0.1", port, flag)
    except PlatformError as error:
        return Finding(what, "fail", error.message, error.hint)
    return Finding(what, "warn", f"does not run; port {port} is free.", "Start it with `minimind up`.")


def _answers(port: int) -> bool:
    from minimind_platform.servers import answers

    return answers(f"http://127.0.0.1:{port}/healthz")


def _tracking_alive(settings: Settings) -> bool:
    from minimind_platform.tracking_client import TrackingClient

    return TrackingClient(settings.tracking).alive()


def _queue(settings: Settings, tracking_alive: bool) -> Iterator[Finding]:
    """The queue's database and its scheduler. Nothing is created: a missing database is made by `minimind up`."""
    if not settings.database_url and not (settings.mlruns_dir / "app.db").exists():
        yield Finding("queue", "warn", "there is none yet.", "Start the platform with `minimind up`.")
        return
    try:
        from minimind_platform.service import Platform

        platform = Platform(settings)
        counts = platform.tasks(limit=1).counts
    except PlatformError as error:
        yield Finding("queue", "fail", error.message, error.hint)
        return
    yield Finding("queue", "ok", f"its database is up to date; {sum(counts.values())} tasks.")
    if platform.scheduler_alive():
        yield Finding("scheduler", "ok", "runs.")
    else:
        level = "fail" if tracking_alive else "warn"
        hint = "See mlruns/logs/scheduler.log." if tracking_alive else "Start it with `minimind up`."
        yield Finding("scheduler", level, "does not run; queued tasks wait.", hint)


def _tracking_database(settings: Settings) -> Finding:
    import sqlite3
    from contextlib import closing

    if settings.tracking_database_url:
        return _tracking_elsewhere(settings)
    path = settings.mlruns_dir / "tracking.db"
    if settings.tracking_uri or not path.exists():
        text = f"elsewhere: {settings.tracking_uri}." if settings.tracking_uri else "there is none yet."
        return Finding("tracking data", "ok", text)
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=2)) as connection:
            mode = connection.execute("PRAGMA journal_mode").fetchone()[0]
            runs = connection.execute("SELECT count(*) FROM runs").fetchone()[0]
    except sqlite3.Error as error:
        return Finding("tracking data", "fail", f"{path} cannot be read: {error}.", "Restore it from a backup.")
    if mode != "wal":
        return Finding("tracking data", "warn", "is not in WAL mode.", "Start the platform with `minimind up` once.")
    return Finding("tracking data", "ok", f"{runs} runs.")


def _tracking_elsewhere(settings: Settings) -> Finding:
    from minimind_platform.tracking_server import upgrade_needed

    try:
        needed = upgrade_needed(settings)
    except PlatformError as error:
        return Finding("tracking data", "fail", error.message, error.hint)
    text = "is brought up to date when its server starts." if needed else "its database is up to date."
    return Finding("tracking data", "ok", text)


def _gpus() -> Finding:
    from minimind_platform.devices import gpus

    found = gpus()
    if not found:
        return Finding("GPU", "warn", "none found; trainings use the CPU.", "Small models train on it all the same.")
    return Finding("GPU", "ok", ", ".join(f"{gpu.slot} {gpu.name} ({gpu.memory_mb / 1024:.0f} GB)" for gpu in found))


def _tokenizer() -> Finding:
    from minimind_platform.preflight import SHIPPED_TOKENIZER

    return _tried("tokenizer", lambda: _load(SHIPPED_TOKENIZER), "Install the package again.")


def _load(path: Path) -> str:
    from tokenizers import Tokenizer

    return f"{Tokenizer.from_file(str(path)).get_vocab_size():,} entries."


def _tried(what: str, look: Callable[[], str], hint: str) -> Finding:
    try:
        return Finding(what, "ok", look())
    except Exception as error:  # whatever a library raises is the finding
        return Finding(what, "fail", f"{error}.", hint)
