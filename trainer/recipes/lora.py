"""LoRA: small adapters beside some layers are trained on conversations, the base stays as it is."""

import logging
from dataclasses import asdict
from typing import Any

from trainer.adapter_bases import BaseRecord
from trainer.adapters import NAME, AdapterFiles, add_adapters, lora_layers, square_layers
from trainer.base_sizes import sidecar
from trainer.bases import record_of
from trainer.checkpoints import keep_for_others
from trainer.configs import LoRAConfig
from trainer.loop import Loop
from trainer.lora_files import RANKS, lora_state
from trainer.minimind_files import write_tensors
from trainer.models import is_minimind
from trainer.names import Outcome
from trainer.session import Session, write_json
from trainer.supervised import Parts, describe, minimind_path, prepare

log = logging.getLogger("trainer")


def train(config: LoRAConfig, session: Session) -> Outcome:
    """As supervised fine-tuning, with W + scale · B · A in the place of W in the chosen layers (contract section 2)."""
    parts = prepare(config, session)
    record = record_of(parts.base, parts.model, parts.tokenizer, config.from_weight)
    if parts.base.path is not None and session.ranks.first:
        keep_for_others(parts.base.path)
    squares = square_layers(parts.model)
    add_adapters(parts.model, config)
    files = AdapterFiles(config, record)
    outcome = Loop(config, session, parts.model, parts.tokenizer, parts.rows, parts.eval_rows, files=files).run()
    if outcome is Outcome.FINISHED:
        _export(config, session, parts, squares, record)
    return outcome


def _export(config: LoRAConfig, session: Session, parts: Parts, squares: dict[str, int], record: BaseRecord) -> None:
    """Write `out/{save_weight}_{hidden}{_moe}.pth` as MiniMind's script would, with a description beside it."""
    if not config.save_weight or not session.ranks.first:
        return
    sizes, adapted = parts.model.config, lora_layers(parts.model)
    reason = _no_file(sizes, type(parts.model).__name__, set(adapted) - set(squares))
    if reason:
        log.info("No MiniMind LoRA file: %s.", reason)
        return
    rank = RANKS["v2" if sizes.model_type == "llama" else "v3"]
    pairs = {name: (layer.lora_A[NAME].weight, layer.lora_B[NAME].weight) for name, layer in adapted.items()}
    path = minimind_path(config, session, sizes)
    write_tensors(lora_state(pairs, config.lora_scale, squares, rank), path)
    write_json(sidecar(path), describe(config, session, parts) | {"adapter_of": asdict(record)})
    log.info("Adapters written to %s.", path)
    if config.lora_rank > rank:
        log.info("MiniMind's own scripts make room for rank %d only; this file has %d.", rank, config.lora_rank)


def _no_file(sizes: Any, class_name: str, not_square: set[str]) -> str:
    """Why adapters cannot be written as a MiniMind file; "" if they can."""
    if not is_minimind(sizes):
        return f"{class_name} is not of the MiniMind family"
    if not_square:
        ends = ", ".join(sorted({name.rpartition(".")[2] for name in not_square}))
        return f"it has adapters in square layers only, which {ends} are not"
    if sizes.model_type == "qwen3_moe" and sizes.moe_intermediate_size == sizes.hidden_size:
        return "its experts would be square too, and would need adapters"
    return ""
