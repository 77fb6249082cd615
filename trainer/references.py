"""What the base gives to every answer, worked out once before the training and kept in the task directory: a resume
needs neither the base nor a second pass over the data.

if add_reference(config, session, parts, device): parts.rows.reference
"""

import hashlib
import io
import json
import logging
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel

from trainer.adapter_bases import fingerprint
from trainer.attention import pack
from trainer.bases import build_model, resolve_base
from trainer.configs import DPOConfig
from trainer.devices import autocast
from trainer.errors import BaseModelError
from trainer.experts import use_grouped_experts
from trainer.names import TaskFile
from trainer.pair_rows import PairRows
from trainer.preferences import answer_log_probs
from trainer.session import Session, write_bytes
from trainer.supervised import Parts
from trainer.tokenization import ChatTokenizer

log = logging.getLogger("trainer")
_LINE_SECONDS = 5.0


def add_reference(config: DPOConfig, session: Session, parts: Parts, device: torch.device) -> bool:
    """Give the rows their reference: that of the task directory, or a new one by the base. The processes share the
    work.

    Args:
        parts: what `prepare` made; the model is still the base unless the training is resumed.
        device: where to compute.

    Returns:
        False if the training was asked to stop before it was done.

    Raises:
        BaseModelError: it must be worked out again at a resume, and the base is gone or another one.
    """
    sets: list[Any] = [rows for rows in (parts.rows, parts.eval_rows) if rows is not None]
    about = _about(config, sets)
    path = session.task_dir / TaskFile.REFERENCE
    kept, arrays = _read(path)
    base = "" if parts.resumed else fingerprint(parts.model)
    if not arrays or kept | {"base": ""} != about | {"base": ""} or (base and kept["base"] != base):
        model = parts.model
        if parts.resumed:
            session.event("reference_again", "The reference of this task is missing or of other data; making it again.")
            model = _base_again(config, session, parts.tokenizer, kept.get("base", ""))
        arrays = [_work_out(model, rows, config, session, device, parts.tokenizer) for rows in sets]
        if not session.ranks.all(all(array is not None for array in arrays)):
            return False
        if session.ranks.first:
            content = io.BytesIO()
            text = np.array(json.dumps(about | {"base": base or fingerprint(model)}))
            np.savez(content, about=text, **{f"set{i}": array for i, array in enumerate(arrays)})  # type: ignore[arg-type]
            write_bytes(path, content.getvalue())
    for rows, array in zip(sets, arrays, strict=True):
        rows.reference = array
    return True


def _about(config: DPOConfig, sets: list[PairRows]) -> dict[str, Any]:
    """What the tokens of the answers depend on, beside the tokenizer, which belongs to the base."""
    return {
        "max_seq_len": config.max_seq_len,
        "empty_think_ratio": config.empty_think_ratio,
        "seed": config.seed,
        "data": [[rows.report.sha256, _digest(rows.pairs, rows.lengths)] for rows in sets],
    }


def _digest(*arrays: np.ndarray) -> str:
    return hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()


def _read(path: Path) -> tuple[dict[str, Any], list[Any]]:
    """What was kept; nothing if it is missing or damaged."""
    try:
        with np.load(io.BytesIO(path.read_bytes())) as kept:  # never pickled objects
            about = json.loads(str(kept["about"]))
            return about, [kept[f"set{i}"] for i in range(len(about["data"]))]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return {}, []


def _base_again(config: DPOConfig, session: Session, tokenizer: ChatTokenizer, was: str) -> PreTrainedModel:
    model = build_model(config, tokenizer, resolve_base(config, session.home))
    if was and fingerprint(model) != was:
        raise BaseModelError(
            f"The base {config.from_weight} has changed since this task began, and its reference must be made again.",
            "Put the old weights back, or start a new task from the last checkpoint.",
        )
    return model


@torch.no_grad()
def _work_out(
    model: PreTrainedModel,
    rows: PairRows,
    config: DPOConfig,
    session: Session,
    device: torch.device,
    tokenizer: ChatTokenizer,
) -> np.ndarray | None:
    """[pairs, 2] float32: what a model gives to both answers of each pair; None if asked to stop. The same batches
    whatever the number of processes, the longest first."""
    ranks, size, pad = session.ranks, config.batch_size, int(tokenizer.pad_token_id or 0)  # type: ignore[arg-type]
    if config.packing:
        pack(model)
    use_grouped_experts(model, device, config.dtype)
    training = model.training
    model.to(device).eval()  # type: ignore[arg-type]
    order = np.argsort(-rows.lengths, kind="stable")
    groups = [order[first : first + size] for first in range(0, len(order), size)]
    found = torch.zeros(len(rows), 2)
    log.info("Working out what the base gives to both answers of %d pairs.", len(rows))
    told = time.monotonic()
    for number, group in enumerate(groups[ranks.rank :: ranks.count]):
        if session.stop_requested:
            break
        with autocast(device, config.dtype):
            sums, _ = answer_log_probs(model, rows.batch(group, None, config.packing, pad).to(device))
        found[torch.from_numpy(group)] = sums.float().cpu().view(2, -1).T
        if time.monotonic() - told > _LINE_SECONDS:
            told = time.monotonic()
            log.info("Reference: %d %%", 100 * (number + 1) * ranks.count // len(groups))
    model.train(training)
    found = ranks.total(found)
    return found.numpy() if ranks.all(not session.stop_requested) else None
