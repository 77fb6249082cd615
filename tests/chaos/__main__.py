"""make chaos ARGS="--seeds 1,2,3,4,5 --tasks 100": the long form; a row of docs/reliability.md for each seed."""

import argparse
import random
import shutil
import socket
import sys
import tempfile
from pathlib import Path

from chaos.story import Report, Story
from chaos.world import World


def main() -> int:
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--seeds", default="1,2,3,4,5", help="which dice, with commas between")
    parser.add_argument("--tasks", type=int, default=100, help="a tenth of them has two processes, a tenth are trials")
    parser.add_argument("--pause", type=float, default=0.7, help="mean seconds between two faults")
    parser.add_argument("--harm", type=float, default=1800.0, help="seconds of it at most, of each seed")
    parser.add_argument("--patience", type=float, default=3600.0, help="seconds that a seed may take")
    options = parser.parse_args()
    failed = False
    print("| seed | tasks | attempts | faults | given up and resumed | minutes | looks | violations |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for seed in options.seeds.split(","):
        report = run(int(seed), options)
        failed |= bool(report.violations)
        say(report)
    return 1 if failed else 0


def run(seed: int, options: argparse.Namespace) -> Report:
    folder = Path(tempfile.mkdtemp(prefix=f"chaos-{seed}-"))
    world = World(folder, _port(), _port())
    tenth = options.tasks // 10
    try:
        limits = {name: getattr(options, name) for name in ("pause", "harm", "patience")}
        report = Story(world, seed, options.tasks, pairs=tenth, trials=tenth, **limits).tell()
    except AssertionError as error:
        world.close()
        raise SystemExit(f"Seed {seed}: {error}\nEverything is in {folder}.") from error
    world.close()
    if report.violations:
        print(f"Everything of seed {seed} is in {folder}.", file=sys.stderr)
    else:
        shutil.rmtree(folder)
    return report


def say(report: Report) -> None:
    cells = [report.seed, report.tasks, report.attempts, report.faults.total(), report.given_up]
    cells += [f"{report.seconds / 60:.1f}", report.sightings, len(report.violations)]
    print("|", " | ".join(str(cell) for cell in cells), "|", flush=True)
    print(f"    {dict(report.faults.most_common())}", file=sys.stderr, flush=True)
    for violation in report.violations:
        print(f"    {violation}", file=sys.stderr, flush=True)


def _port() -> int:
    while True:
        port = random.randint(10_000, 32_000)
        with socket.socket() as trial:
            if trial.connect_ex(("127.0.0.1", port)) != 0:
                return port


if __name__ == "__main__":
    sys.exit(main())
