"""One of several processes of a training, for the tests: does the runs of a list, one after the other.

python rank.py FOLDER '[["name", 0, {"packing": true}], …]'      # name, step to stop after or 0, settings
"""

import json
import sys
from pathlib import Path
from typing import Any

import torch
from small_loops import OWN, preference, prompts_in, rollout_loop, small_loop, with_reference
from small_rows import random_pairs, random_rows

from trainer.devices import pick_device
from trainer.ranks import Ranks


def main(folder: Path, runs: list[tuple[str, int, dict[str, Any]]]) -> None:
    torch.set_num_threads(1)
    ranks = Ranks.from_environment()
    ranks.join(pick_device(runs[0][2].get("device", "cpu"), ranks))
    for name, stop_after, values in runs:
        if values.get("type_name") in OWN:
            if ranks.first:
                prompts_in(folder)
            ranks.all(True)  # the others read it
            loop = rollout_loop(folder, values.pop("type_name"), name, **values)
            loop.session.ranks = loop.ranks = ranks
            run(loop, stop_after)
            continue
        rows, pairs = values.pop("rows", 40), values.get("type_name") == "dpo"
        make: Any = random_pairs if pairs else random_rows
        more = preference(folder, **values) if pairs else values
        loop = small_loop(folder, name, make(rows), make(10, seed=1), **more)
        loop.session.ranks = loop.ranks = ranks
        if pairs:
            with_reference(loop)
        run(loop, stop_after)
    ranks.leave()


def run(loop: Any, stop_after: int) -> None:
    """Run to the end, or have one of the processes, not the first, asked to stop."""
    update = loop._update

    def stopping(*work: Any) -> Any:
        result = update(*work)
        if loop.step + 1 == stop_after and loop.ranks.rank == loop.ranks.count - 1:
            loop.session.stop_requested = True
        return result

    loop._update = stopping
    loop.run()


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(sys.argv[2]))
