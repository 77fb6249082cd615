"""What a checkpoint holds beside the weights, so that a resume continues as if nothing had happened: optimizer,
random numbers, position in the data, best value. Weights and moments in full precision; on the CPU the resumed losses
are the same bit for bit."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from trainer.checkpoints import STATE_DIR
from trainer.errors import BaseModelError, DataError
from trainer.session import Best, write_json

if TYPE_CHECKING:
    from trainer.loop import Loop


def save_state(loop: "Loop", folder: Path) -> None:
    """Write `trainer_state/` into a checkpoint folder."""
    state = folder / STATE_DIR
    state.mkdir()
    random = {"cpu": torch.get_rng_state()}
    if loop.device.type == "cuda":
        random["cuda"] = torch.cuda.get_rng_state(loop.device)
    torch.save(
        {"optimizer": loop.optimizer.state_dict(), "random": random, "scaler": loop.scaler.state_dict()},
        state / "optimizer.pt",
    )
    best = loop.session.best
    content = {
        "step": loop.step,
        "tokens_seen": loop.tokens_seen,
        "last_loss": loop.last_loss,
        "dataset_sha256": loop.rows.report.sha256,
        "plan": _plan(loop),
        "best": {"name": best.name, "value": best.value, "step": best.step},
        "config": loop.config.model_dump(),
    }
    write_json(state / "state.json", content)


def load_state(loop: "Loop", folder: Path) -> None:
    """Put a loop where the checkpoint was.

    Raises:
        DataError: the data file has changed since.
        BaseModelError: the checkpoint belongs to other settings.
    """
    content = json.loads((folder / STATE_DIR / "state.json").read_text(encoding="utf-8"))
    _check_same(loop, content, folder)
    loop.files.load(loop.model, folder)
    # weights_only: a checkpoint is data, never code
    saved: dict[str, Any] = torch.load(folder / STATE_DIR / "optimizer.pt", map_location="cpu", weights_only=True)
    loop.optimizer.load_state_dict(saved["optimizer"])
    loop.scaler.load_state_dict(saved["scaler"])
    torch.set_rng_state(saved["random"]["cpu"])
    if loop.device.type == "cuda" and "cuda" in saved["random"]:
        torch.cuda.set_rng_state(saved["random"]["cuda"], loop.device)
    loop.step = loop.session.step = content["step"]
    loop.tokens_seen, loop.last_loss = content["tokens_seen"], content["last_loss"]
    loop.session.best = Best(**content["best"])


def _plan(loop: "Loop") -> dict[str, Any]:
    return {"rows": loop.plan.rows, "batch_size": loop.plan.batch_size, "accumulation": loop.plan.accumulation}


def _check_same(loop: "Loop", content: dict[str, Any], folder: Path) -> None:
    was, now = content["dataset_sha256"], loop.rows.report.sha256
    if was != now:
        raise DataError(
            f"{loop.rows.report.path} has changed since {folder.name} (SHA-256 {was[:12]}… then, {now[:12]}… now).",
            "Put the old file back, or start a new task from that checkpoint.",
        )
    if content["plan"] != _plan(loop):
        raise BaseModelError(
            f"{folder.name} was made with {content['plan']}, the settings now give {_plan(loop)}; "
            "its position in the data would be wrong.",
            "Resume with the same batch_size, accumulation_steps and max_seq_len, or start a new task from it.",
        )
