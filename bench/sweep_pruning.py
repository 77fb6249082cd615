"""What ending trials early saves: the same sweep with ASHA and without, on real conversations.

    python bench/sweep_pruning.py --data FILE.jsonl [--trials 20] [--steps 100] [--kills 2]

Fine-tuning of a small model; learning rate, batch size and warm-up are searched by TPE, two trials at a time. With
--kills the scheduler is killed so many times on the way, and the sweep must come out whole all the same.
"""

import argparse
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from sweep_overhead import servers

from minimind_platform import Platform, Settings, SweepState
from minimind_platform.home import prepare
from minimind_platform.servers import Server

MODEL = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2}
COMMON = MODEL | {"from_weight": "none", "max_seq_len": 128, "device": "cpu", "save_interval": 1_000_000}
SEARCH = {"learning_rate": (1e-5, 1e-1), "batch_size": [4, 8, 16], "warmup_steps": (0, 50)}


def kill_scheduler(platform: Platform) -> None:
    """Kill it; whoever watches over it starts the next one."""
    lock = platform.settings.mlruns_dir / "scheduler.lock"
    subprocess.run(["kill", "-KILL", lock.read_text().strip()], check=True)


def search(platform: Platform, pruner: str, options: argparse.Namespace, started: list[Server]) -> None:
    """Make one sweep, and print what came of it."""
    wanted = {"n_trials": options.trials, "parallel": 2, "pruner": pruner, "startup_trials": 8, "seed": 1}
    values = COMMON | {"data_path": options.data, "max_steps": options.steps}
    sweep = platform.sweeps.create("sft", values, SEARCH, name=f"sft {pruner}", options=wanted)
    began, kills = time.time(), options.kills if pruner == "asha" else 0
    while (now := platform.sweeps.get(sweep.id)).state is SweepState.RUNNING:
        if kills and now.done >= options.trials * (options.kills - kills + 1) // (options.kills + 1):
            kill_scheduler(platform)
            kills -= 1
            print(f"  scheduler killed after {now.done} trials")
        for server in started:
            if server.ended() is not None:
                server.start()
        time.sleep(1)
    trials = platform.sweeps.trials(sweep.id)
    steps = sum(trial.step for trial in trials)
    best = trials[now.best[0]]
    print(f"{pruner}: {now.reason}; {dict(now.counts)}; {time.time() - began:.0f} s")
    print(f"  {steps} of {options.trials * options.steps} steps; best {best.values[0]:.4f} with {best.params}")
    assert len({trial.task_id for trial in trials}) == options.trials


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--pruners", nargs="+", default=["asha", "none"])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        roots = (str(Path(options.data).resolve().parent),)
        settings = Settings(home=Path(folder), tracking_port=free.getsockname()[1], data_roots=roots)
        free.close()
        prepare(settings)
        (settings.home / "minimind.toml").write_text(f'cpu_slots = 2\ndata_roots = ["{roots[0]}"]\n')
        with servers(settings) as started:
            platform = Platform(settings)
            for pruner in options.pruners:
                search(platform, pruner, options, started)


if __name__ == "__main__":
    main()
