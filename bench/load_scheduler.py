"""The scheduler of a home, with a note of how long its claims and rounds take, for bench/load.py.

    python bench/load_scheduler.py NOTES [noop]

NOTES gets a line for each claim that gave a task and for each round, `claim 0.0021`. With `noop` the trainer is a shell
that writes what a trainer of one step leaves and does nothing else.
"""

import sys
import time
from pathlib import Path
from typing import Any

from minimind_platform import scheduler
from minimind_platform.dispatcher import Dispatcher
from minimind_platform.executors import LaunchSpec
from minimind_platform.local_executor import LocalExecutor, trainer_command
from minimind_platform.reconciler import MlflowMirror
from minimind_platform.settings import Settings
from minimind_platform.store import Store
from minimind_platform.tasks import Task

RECORD = (
    '{"kind":"begin","t":1,"attempt":1,"step":0,"total_steps":1,"epochs":1}\n'
    '{"kind":"metrics","t":2,"step":1,"values":{"train/loss":2.5}}\n'
    '{"kind":"end","t":3,"outcome":"finished","step":1}\n'
)
NOOP = f"""
cd "$MINIMIND_TASK_DIR" || exit 1
printf '%s' '{RECORD}' >metrics.jsonl
printf {len(RECORD)} >spool.offset
printf '%s' '{{"outcome":"finished","step":1,"total_steps":1,"attempt":1}}' >result.json
"""


def main() -> None:
    notes = Path(sys.argv[1]).open("a", buffering=1)  # noqa: SIM115 - as long as the process

    class TimedStore(Store):
        def claim(self, *arguments: Any) -> Task | None:
            began = time.perf_counter()
            task = super().claim(*arguments)
            notes.write(f"claim {time.perf_counter() - began:.6f}\n" if task else "")
            return task

    class TimedDispatcher(Dispatcher):
        def tick(self) -> bool:
            began = time.perf_counter()
            active = super().tick()
            notes.write(f"round {time.perf_counter() - began:.6f}\n")
            return active

    scheduler.Store, scheduler.Dispatcher = TimedStore, TimedDispatcher  # type: ignore[misc]
    settings = Settings.load()
    command = noop if "noop" in sys.argv[2:] else trainer_command
    with scheduler.only_one(settings.mlruns_dir):
        scheduler.run_forever(settings, LocalExecutor(settings, command), MlflowMirror(settings), with_sweeps=True)


def noop(_: LaunchSpec) -> list[str]:
    return ["/bin/sh", "-c", NOOP]


if __name__ == "__main__":
    main()
