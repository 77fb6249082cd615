"""What a checkpoint holds beside the weights, so that a resume continues as if nothing had happened: optimizer,
random numbers, position in the data, best value. Weights and moments in full precision; on the CPU the resumed losses
are the same bit for bit."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from trainer.checkpoints import STATE_DIR
from trainer.data import DataReport
from trainer.errors import BaseModelError, DataChangedError
from trainer.session import Best, write_json
from trainer.shards import move_shards

if TYPE_CHECKING:
    from trainer.loop import Loop


def collect_state(loop: "Loop") -> dict[str, Any]:
    """What only all processes together know: the optimizer, and the random numbers of each. Called by all of them."""
    random = [{"cpu": state} for state in loop.ranks.stacked(torch.get_rng_state())]
    if loop.device.type == "cuda":
        for own, state in zip(random, loop.ranks.stacked(torch.cuda.get_rng_state(loop.device)), strict=True):
            own["cuda"] = state
    optimizer = loop.parallel.optimizer_state(loop.optimizer, loop.checkpoints.shards)
    own = loop.own_state()
    return {"optimizer": optimizer, "random": random, "scaler": loop.scaler.state_dict()} | (
        {"own": own} if own else {}
    )


def save_state(loop: "Loop", collected: dict[str, Any], folder: Path) -> None:
    """Write `trainer_state/` into a checkpoint folder."""
    state = folder / STATE_DIR
    state.mkdir()
    torch.save(collected, state / "optimizer.pt")
    move_shards(loop.checkpoints.shards, state)
    best = loop.session.best
    content = {
        "step": loop.step,
        "tokens_seen": loop.tokens_seen,
        "last_loss": loop.last_loss,
        **{name: report.sha256 for name, report in _data(loop).items()},
        "plan": _plan(loop),
        "best": {"name": best.name, "value": best.value, "step": best.step},
        "config": loop.config.model_dump(),
    }
    write_json(state / "state.json", content)


def load_state(loop: "Loop", folder: Path) -> None:
    """Put a loop where the checkpoint was.

    Raises:
        DataChangedError: a data file has changed since, and nobody wants to go on all the same.
        BaseModelError: the checkpoint belongs to other settings.
    """
    content = json.loads((folder / STATE_DIR / "state.json").read_text(encoding="utf-8"))
    same = _check_same(loop, content, folder)
    loop.parallel.load(loop.files, folder)
    # weights_only: a checkpoint is data, never code
    saved: dict[str, Any] = torch.load(folder / STATE_DIR / "optimizer.pt", map_location="cpu", weights_only=True)
    loop.parallel.load_optimizer(loop.optimizer, saved["optimizer"], folder / STATE_DIR)
    loop.scaler.load_state_dict(saved["scaler"])
    if "own" in saved:
        loop.load_own_state(saved["own"])
    _set_random(loop, saved["random"], content["step"])
    loop.step = loop.session.step = content["step"]
    loop.tokens_seen, loop.last_loss = content["tokens_seen"], content["last_loss"]
    # losses on other data do not compare, so the best one is looked for anew
    loop.session.best = Best(**content["best"]) if same else Best()


def _set_random(loop: "Loop", saved: list[dict[str, torch.Tensor]], step: int) -> None:
    """The random numbers go on; those of a process that there was not before begin, and not as they did at step 0."""
    rank = loop.ranks.rank
    if rank >= len(saved):
        loop.seed(step)
        return
    torch.set_rng_state(saved[rank]["cpu"])
    if loop.device.type == "cuda" and "cuda" in saved[rank]:
        torch.cuda.set_rng_state(saved[rank]["cuda"], loop.device)


def _plan(loop: "Loop") -> dict[str, Any]:
    return {"rows": loop.plan.rows, "batch_size": loop.plan.batch_size, "accumulation": loop.plan.accumulation}


def _data(loop: "Loop") -> dict[str, DataReport]:
    """The data files of a training, by the name that their SHA-256 has in the state."""
    files = {"dataset_sha256": loop.rows.report}
    if loop.config.eval_data_path and loop.eval_rows is not None:
        files["eval_dataset_sha256"] = loop.eval_rows.report
    return files


def _changed(loop: "Loop", content: dict[str, Any], folder: Path) -> str:
    """Which data files are others than at the checkpoint, in words; "" if none."""
    found = []
    for name, report in _data(loop).items():
        was, now = content.get(name) or report.sha256, report.sha256  # an older checkpoint has no evaluation file noted
        if was != now:
            told = f"SHA-256 {was[:12]}… then, {now[:12]}… now"
            found.append(f"{report.path} has changed since {folder.name} ({told})")
    return "; ".join(found)


def _check_same(loop: "Loop", content: dict[str, Any], folder: Path) -> bool:
    """Whether all data is the same; if not, a person wants to go on with it all the same."""
    changed, plan, same = _changed(loop, content, folder), _plan(loop), content["plan"]
    if changed and not loop.session.force:
        raise DataChangedError(
            f"{changed}.",
            "Put the old data back, start a new task from that checkpoint, or resume it all the same (--force), which "
            "goes on at the same step in the new data.",
        )
    if changed:
        loop.session.event("data_changed", f"{changed}; going on with the new data, as was asked for.")
        same = same | {"rows": plan["rows"]}
    if same != plan:
        raise BaseModelError(
            f"{folder.name} was made with {content['plan']}, the settings now give {plan}; "
            "its position in the data would be wrong.",
            "Resume with the same batch_size, accumulation_steps and max_seq_len, or start a new task from it.",
        )
    return not changed
