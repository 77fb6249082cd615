"""What recording costs a training step: a record, and the step time with the tracking server up, down and restarting.

    python bench/logging_cost.py

Trains one model in one process and sorts its steps by what the tracking server was doing at the time.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from minimind_platform import Settings
from minimind_platform.home import prepare
from minimind_platform.servers import Server
from minimind_platform.supervisor import Supervisor
from trainer.names import Metric
from trainer.samples import generate
from trainer.spool import Spool, read_records

RECORDS = 20_000
SECONDS = 60.0


def record_microseconds(folder: Path) -> list[float]:
    """Time of each `spool.metrics` with the values of a real record."""
    spool = Spool(folder)
    values = {str(m): 1.5 for m in Metric if m.startswith(("train/", "perf/"))}
    times = []
    for step in range(1, RECORDS + 1):
        began = time.perf_counter()
        spool.metrics(step, values)
        times.append(1e6 * (time.perf_counter() - began))
    spool.close()
    return sorted(times)


def start(server: Server) -> None:
    server.start()
    while not server.ready():
        time.sleep(0.1)


def run(home: Path, settings: Settings, server: Server) -> dict[str, list[float]]:
    """One training through four phases of the tracking server; seconds a step in each."""
    environment = {**os.environ, "MINIMIND_HOME": str(home), "MLFLOW_TRACKING_URI": settings.tracking}
    options = {"data_path": "data/pretrain.jsonl", "hidden_size": 64, "num_hidden_layers": 1, "batch_size": 4}
    options |= {"max_seq_len": 128, "accumulation_steps": 1, "epochs": 1000, "eval_fraction": 0, "log_interval": 1}
    options |= {"device": "cpu", "save_interval": 1_000_000, "save_weight": ""}
    flags = [part for name, value in options.items() for part in (f"--{name}", str(value))]
    command = [sys.executable, "-m", "trainer", "pretrain", *flags]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    while not list(home.glob("out/*/metrics.jsonl")):
        time.sleep(0.1)
    time.sleep(10)  # the first seconds load MLflow's client
    phases: list[tuple[str, float, float]] = []

    def phase(name: str, began: float) -> None:
        time.sleep(max(0.0, began + SECONDS - time.time()))
        phases.append((name, began, time.time()))

    phase("up", time.time())
    server.ask_to_stop()
    server.wait(time.monotonic() + 10)
    phase("down", time.time())
    began = time.time()
    start(server)
    phase("restarting and catching up", began)
    phase("up again", time.time())
    process.terminate()
    process.wait()
    spool = next(home.glob("out/*/metrics.jsonl"))
    steps = [
        (record["t"] / 1000, record["values"][Metric.STEP_SECONDS])
        for record, _ in read_records(spool)
        if record["kind"] == "metrics" and Metric.STEP_SECONDS in record["values"]
    ]
    return {name: [s for t, s in steps if begin <= t < end] for name, begin, end in phases}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        (home / "record").mkdir()
        times = record_microseconds(home / "record")
        print(
            f"a record: median {statistics.median(times):.0f} µs, 99th percentile {times[int(0.99 * RECORDS)]:.0f} µs"
        )
        generate(home / "data")
        settings = Settings(home=home, tracking_port=5999)
        prepare(settings)
        server = Supervisor(settings)._tracking()
        start(server)
        for name, seconds in run(home, settings, server).items():
            quartiles = statistics.quantiles(seconds, n=4)
            middle = f"{1000 * quartiles[0]:.1f} – {1000 * quartiles[2]:.1f}"
            slow = 1000 * statistics.quantiles(seconds, n=20)[-1]
            print(
                f"server {name:27} median step {1000 * quartiles[1]:.2f} ms ({middle}), "
                f"95 of 100 within {slow:.1f} ms, {len(seconds)} steps"
            )
        server.ask_to_stop()
        server.wait(time.monotonic() + 10)


if __name__ == "__main__":
    main()
