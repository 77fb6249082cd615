"""The command `jobs`: background jobs, which are statistics and downloads that the web app was asked for."""

import argparse
import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from minimind_platform import tables
from minimind_platform.views import Job, JobState

if TYPE_CHECKING:
    from minimind_platform.service import Platform

HEADS = ("ID", "KIND", "STATE", "WHAT", "DONE", "BEGUN", "ERROR")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of `jobs`."""
    parser.add_argument("--cancel", metavar="ID", default="", help="end this one; what a download has brought stays")
    parser.add_argument("--json", action="store_true", help="print JSON")


def jobs(arguments: argparse.Namespace, platform: "Platform | None") -> int:
    """List background jobs, newest first, or cancel one."""
    from minimind_platform.cli_tasks import open_platform

    platform = platform or open_platform(arguments)
    if arguments.cancel:
        job = platform.cancel_job(arguments.cancel)
        print(f"{job.label}: {'is ending' if job.state is JobState.RUNNING else job.state}")
        return 0
    found = platform.jobs()
    if arguments.json:
        print(json.dumps([asdict(job) for job in found], ensure_ascii=False))
    elif found:
        print(tables.table(HEADS, map(_row, found)))
    else:
        print("No background jobs.")
    return 0


def _row(job: Job) -> list[str]:
    share = f"{job.done / job.total:.0%} of {tables.size(job.total)}" if job.total else ""
    return [job.id, job.kind, job.state, job.label, share, tables.moment(job.created_at), job.error]
