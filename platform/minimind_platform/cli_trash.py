"""The command `trash`: what was deleted, bringing it back, and removing it for good.

minimind trash
minimind trash purge 3d5cacd0
minimind trash empty --older-than 30d --yes
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from minimind_platform import tables
from minimind_platform.cli_text import SHORT
from minimind_platform.errors import NotFoundError, PlatformError
from minimind_platform.views import Job, JobState

if TYPE_CHECKING:
    from minimind_platform.service import Platform
    from minimind_platform.trash.views import Cost, Dependent, Purge, TrashItem

HEADS = ("ID", "WHAT", "NAME", "TYPE", "FREES", "NEEDED BY", "DELETED")
LOOK_SECONDS = 0.2
MOST_NAMED = 5


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of `trash`."""
    parser.add_argument("--json", action="store_true", help="print JSON")
    actions = parser.add_subparsers(title="actions", metavar="ACTION", dest="action")
    listing = actions.add_parser("list", help="what was deleted, and what removing it would free; the default")
    listing.add_argument("--json", action="store_true", help="print JSON")
    restore = actions.add_parser("restore", help="bring tasks and sweeps back")
    restore.add_argument("ids", nargs="+", metavar="ID", help="task or sweep, or the begin of its id")
    purge = actions.add_parser("purge", help="remove deleted tasks and sweeps for good")
    purge.add_argument("ids", nargs="+", metavar="ID", help="task or sweep, or the begin of its id")
    empty = actions.add_parser("empty", help="remove all that was deleted for good")
    empty.add_argument("--older-than", metavar="DAYS", default="0", type=_days, help="deleted so long ago, such as 30d")
    for action in (purge, empty):
        action.add_argument("--yes", action="store_true", help="do not ask")


def trash(arguments: argparse.Namespace, platform: "Platform | None") -> int:
    """List, restore, purge or empty."""
    from minimind_platform.cli_tasks import open_platform

    platform = platform or open_platform(arguments)
    if arguments.action == "restore":
        for text in arguments.ids:
            kind, one = _find(platform, text)
            restored = platform.restore(one) if kind == "task" else platform.sweeps.restore(one)
            print(f"{one[:SHORT]} {restored.name} is back.")
        return 0
    if arguments.action == "purge":
        ids = [_find(platform, text)[1] for text in arguments.ids]
        cost = platform.trash.cost(ids)
        print(_warning(cost, cost.count))
        return _follow(platform, platform.trash.purge(ids)) if _sure(arguments) else 1
    if arguments.action == "empty":
        page = platform.trash.page(limit=10**9, wait=True)
        before = time.time() - arguments.older_than * 86_400
        ids = [item.id for item in page.items if item.deleted_at <= before]
        if not ids:
            print("There is nothing to remove.")
            return 0
        print(_warning(platform.trash.cost(ids), len(ids)))
        return _follow(platform, platform.trash.empty(arguments.older_than)) if _sure(arguments) else 1
    return _list(platform, arguments.json)


def _list(platform: "Platform", as_json: bool) -> int:
    page = platform.trash.page(limit=10**9, wait=True)
    if as_json:
        print(json.dumps(asdict(page), ensure_ascii=False, indent=2))
        return 0
    if not page.items:
        print("The trash is empty.")
        return 0
    print(tables.table(HEADS, map(_row, page.items)))
    print(f"{page.total} in the trash; removing all of it frees {tables.size(page.bytes)}.")
    if not page.tracking:
        print("The tracking server is away, so what needs their model versions may be missing.", file=sys.stderr)
    if page.purging and not (page.job and page.job.state is JobState.RUNNING):
        print(f"{page.purging} wait to be removed; `minimind trash purge` any of them to go on.", file=sys.stderr)
    return 0


def _row(item: "TrashItem") -> list[str]:
    what = f"sweep of {item.trials}" if item.kind == "sweep" else "task"
    needed = _names(item.dependents)
    state = "is being removed" if item.purging else tables.moment(item.deleted_at)
    return [item.id[:SHORT], what, item.name, item.type, tables.size(item.bytes or 0), needed, state]


def _names(dependents: "Sequence[Dependent]") -> str:
    names = list(dict.fromkeys(one.name for one in dependents))
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more


def _warning(cost: "Cost", count: int) -> str:
    needed = f" These depend on it: {_names(cost.dependents)}." if cost.dependents else ""
    return f"{count} will be removed for good, which frees {tables.size(cost.bytes)}.{needed}"


def _sure(arguments: argparse.Namespace) -> bool:
    if arguments.yes:
        return True
    if not sys.stdin.isatty():
        print("Nothing was removed: add --yes.", file=sys.stderr)
        return False
    return input("Nothing brings it back. Remove it? [y/N] ").strip().lower() in ("y", "yes")


def _follow(platform: "Platform", purge: "Purge") -> int:
    for one in purge.kept:
        print(f"Kept: {one.kind} {one.name} ({one.state.lower()}) needs {one.on[:SHORT]}.")
    if purge.job is None:
        print("There is nothing to remove.")
        return 0
    job = purge.job
    try:
        while job.state is JobState.RUNNING:
            time.sleep(LOOK_SECONDS)
            job = platform.job(job.id)
    except KeyboardInterrupt:
        print(f"It goes on in the background: `minimind jobs`; to end it `minimind jobs --cancel {job.id}`.")
        raise
    return _ended(job)


def _ended(job: Job) -> int:
    if job.state is not JobState.DONE or not isinstance(job.result, dict):
        print(job.error or "It was interrupted; what is left is removed the next time.", file=sys.stderr)
        return 1
    print(f"{job.result['removed']} removed, {tables.size(job.result['freed'])} freed.")
    for sentence in job.result["remains"]:
        print(f"What remains of {sentence}")
    return 0


def _find(platform: "Platform", text: str) -> tuple[str, str]:
    try:
        return "task", platform.task(text).id
    except NotFoundError as missing:
        try:
            return "sweep", platform.sweeps.get(text).id
        except PlatformError:
            raise missing from None


def _days(text: str) -> float:
    try:
        days = float(text.removesuffix("d"))
    except ValueError:
        days = -1.0
    if days < 0:
        raise argparse.ArgumentTypeError(f"use a number of days, such as 30d, not {text!r}")
    return days
