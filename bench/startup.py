"""How fast the platform starts, what it costs while idle, and how long a task takes from submit to its first step.

    python bench/startup.py

Starts a platform of its own in a temporary folder, with the data that the project generates.
"""

import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from minimind_platform import Platform, Settings

RUNS = 5
IDLE_SECONDS = 30
VALUES = {
    "data_path": "dataset/samples/pretrain.jsonl",
    "architecture": "v3",
    "hidden_size": 128,
    "num_hidden_layers": 2,
    "batch_size": 16,
    "accumulation_steps": 1,
    "max_steps": 3,
    "device": "cpu",
    "eval_fraction": 0,
}


def free_port() -> int:
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return trial.getsockname()[1]


def help_seconds() -> list[float]:
    """Wall time of `minimind --help`."""
    times = []
    for _ in range(RUNS):
        began = time.perf_counter()
        command = [sys.executable, "-m", "minimind_platform.cli", "--help"]
        subprocess.run(command, capture_output=True, check=True)
        times.append(time.perf_counter() - began)
    return times


def start(home: Path, settings: Settings) -> tuple["subprocess.Popen[str]", dict[str, float]]:
    """`minimind up` on a fresh home without the demo; seconds until each server answered, as it prints them."""
    (home / "dataset").mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "minimind_platform.cli", "--home", str(home), "up"]
    command += ["--port", str(settings.port), "--tracking-port", str(settings.tracking_port)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    ready: dict[str, float] = {}
    assert process.stdout
    for line in process.stdout:
        if found := re.match(r"(.+?)\s+ready in ([\d.]+) s", line):
            ready[found[1]] = float(found[2])
        if "Ctrl-C" in line:
            return process, ready
    raise SystemExit("the platform did not start")


def idle(process: "subprocess.Popen[str]") -> tuple[float, float]:
    """Memory of all its processes (PSS, MB) and their CPU (percent of one core)."""
    family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    before = sum(sum(p.cpu_times()[:2]) for p in family)
    time.sleep(IDLE_SECONDS)
    after = sum(sum(p.cpu_times()[:2]) for p in family)
    return sum(p.memory_full_info().pss for p in family) / 1e6, 100 * (after - before) / IDLE_SECONDS


def submit_seconds(platform: Platform) -> list[float]:
    """From the call of submit to the first recorded step."""
    times = []
    for _ in range(RUNS + 1):
        began = time.perf_counter()
        task = platform.submit("pretrain", VALUES)
        spool = platform.settings.task_dir(task.id) / "metrics.jsonl"
        while not (spool.exists() and '"metrics"' in spool.read_text()):
            time.sleep(0.01)
        times.append(time.perf_counter() - began)
        while not platform.task(task.id).ended:
            time.sleep(0.1)
        time.sleep(8)  # the replay of its end, and whatever is made ready for the next
    return times[1:]  # the first fills the token cache


def shown(times: list[float]) -> str:
    return f"{statistics.median(times):.2f} s ({min(times):.2f} – {max(times):.2f}, {len(times)} runs)"


def main() -> None:
    print(f"minimind --help            {shown(help_seconds())}")
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        os.environ["MINIMIND_HOME"] = folder
        settings = Settings(home=home, port=free_port(), tracking_port=free_port())
        for attempt in ("first", "second"):
            process, ready = start(home, settings)
            for name, seconds in ready.items():
                print(f"{name + ' ready, ' + attempt:26} {seconds:.1f} s")
            if attempt == "first":
                process.send_signal(signal.SIGINT)
                process.wait()
        platform = Platform(settings)
        while platform.tasks(states=("QUEUED", "STARTING", "RUNNING")).total:
            for task in platform.tasks(states=("QUEUED", "RUNNING")).tasks:  # the demo of a first start
                platform.stop(task.id)
            time.sleep(1)
        time.sleep(10)
        memory, cpu = idle(process)
        print(f"idle memory (PSS)          {memory:.0f} MB\nidle CPU                   {cpu:.1f} % of a core")
        print(f"submit to first step       {shown(submit_seconds(platform))}")
        process.send_signal(signal.SIGINT)
        process.wait()


if __name__ == "__main__":
    main()
