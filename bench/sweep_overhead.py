"""What a sweep adds to its trainings: from the submit of a trial to its first step, from its end to the next submit;
and how long 200 finished trials take to open.

    python bench/sweep_overhead.py [--trials 8] [--finished 200]

Real tracking server, scheduler and trainer on one CPU slot, the tiny model on a sample file. The same training is also
started by hand, without platform, tracking server or queue: the difference is what the platform adds.
"""

import argparse
import contextlib
import itertools
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from minimind_platform import Platform, Settings, SweepState
from minimind_platform.home import prepare
from minimind_platform.servers import Server, answers
from minimind_platform.supervisor import Supervisor
from trainer.names import Env, TaskFile
from trainer.samples import generate
from trainer.spool import read_records

VALUES = {"from_weight": "none", "data_path": "dataset/samples/sft.jsonl", "max_steps": 10, "device": "cpu"}
VALUES |= {
    "hidden_size": 128,
    "num_hidden_layers": 2,
    "batch_size": 4,
    "max_seq_len": 128,
    "log_interval": 1,
    "save_weight": "",
}


def first_step(task_dir: Path) -> float:
    """When the first step was recorded, seconds since 1970."""
    return next(r["t"] for r, _ in read_records(task_dir / TaskFile.METRICS) if r["kind"] == "metrics") / 1000


def by_hand(home: Path, number: int) -> tuple[float, float]:
    """Start the trainer alone: seconds to its first step, and from its last record to the end of its process."""
    task_dir = home / "out" / f"alone-{number}"
    options = [part for name, value in VALUES.items() for part in (f"--{name}", str(value))]
    environment = os.environ | {Env.HOME: str(home), Env.TASK_DIR: str(task_dir)}
    began = time.time()
    command = [sys.executable, "-m", "trainer", "sft", *options]
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return first_step(task_dir) - began, time.time() - began


@contextlib.contextmanager
def servers(settings: Settings) -> Iterator[list[Server]]:
    """Tracking server and scheduler, to be started again by the caller should one die."""
    supervisor = Supervisor(settings)
    started: list[Server] = [supervisor._tracking(), supervisor._scheduler()]
    try:
        for server in started:
            server.start()
        while not answers(f"{settings.tracking}/health"):
            time.sleep(0.1)
        yield started
    finally:
        for server in started:
            server.ask_to_stop()
        for server in started:
            server.wait(time.monotonic() + 5)


def overhead(platform: Platform, trials: int) -> tuple[list[float], list[float]]:
    """Seconds from submit to first step, and from the end of a trial to the submit of the next."""
    sweep = platform.sweeps.create(
        "sft", VALUES, ["learning_rate"], options={"n_trials": trials, "sampler": "random", "pruner": "none"}
    )
    while platform.sweeps.get(sweep.id).state is SweepState.RUNNING:
        time.sleep(0.2)
    tasks = [platform.task(trial.task_id) for trial in platform.sweeps.trials(sweep.id)]
    begins = [first_step(platform.settings.task_dir(task.id)) - task.created_at for task in tasks]
    gaps = [after.created_at - (before.ended_at or 0.0) for before, after in itertools.pairwise(tasks)]
    return begins, gaps


def opening(platform: Platform, finished: int) -> float:
    """Seconds to read a sweep with many finished trials, as its page does."""
    from minimind_platform.sweeps.study import Studies

    sweep = platform.sweeps.create("sft", VALUES, ["learning_rate", "batch_size"], options={"n_trials": finished})
    platform.sweeps.stop(sweep.id)
    study = Studies(platform.settings.studies).open(sweep.id, sweep.spec)
    for number in range(finished):
        trial = study.ask()
        assert trial is not None
        for percent in range(10, 101, 10):
            study.report(trial.number, percent, 10 / percent)
        study.complete(trial.number, [float(number % 17)])
    began = time.perf_counter()
    fresh = Platform(platform.settings)
    fresh.sweeps.get(sweep.id)
    assert len(fresh.sweeps.trials(sweep.id)) == finished
    return time.perf_counter() - began


def told(name: str, values: list[float]) -> None:
    print(f"{name:<58}{statistics.median(values):6.2f} s ({min(values):.2f} - {max(values):.2f})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=8)
    parser.add_argument("--finished", type=int, default=200)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        settings = Settings(home=Path(folder), tracking_port=free.getsockname()[1])
        free.close()
        prepare(settings)
        generate(settings.data_dir / "samples")
        alone = [by_hand(settings.home, number) for number in range(4)][1:]  # the first one tokenises
        with servers(settings):
            platform = Platform(settings)
            begins, gaps = overhead(platform, options.trials)
            seconds = opening(platform, options.finished)
    told("trainer alone: start to first step", [begin for begin, _ in alone])
    told("trial: submit to first step", begins[1:])
    told("end of a trial to the submit of the next", gaps)
    added = statistics.median(begins[1:]) - statistics.median(b for b, _ in alone) + statistics.median(gaps)
    print(f"{'added by the platform, a trial':<58}{added:6.2f} s")
    print(f"{f'opening {options.finished} finished trials':<58}{seconds:6.2f} s")


if __name__ == "__main__":
    main()
