"""What every supervised type needs before its loop (base, tokenizer, rows, model), and what it leaves at its end.

parts = prepare(config, session)
outcome = Loop(config, session, *parts).run()
"""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from transformers import PreTrainedModel

from trainer.adapter_bases import read_record
from trainer.base_sizes import sidecar, size_problems
from trainer.bases import Base, build_model, check_pth_tokenizer, recorded_base, resolve_base
from trainer.checkpoints import Checkpoint, Checkpoints
from trainer.configs import TrainConfig
from trainer.data import Rows, load_rows
from trainer.errors import BaseModelError, SettingsError
from trainer.minimind_files import write_pth
from trainer.models import is_minimind, load_folder
from trainer.pair_rows import load_pairs
from trainer.prompts import load_prompts
from trainer.rope import is_yarn
from trainer.session import Session, write_json
from trainer.tokenization import ChatTokenizer, load_tokenizer, tokenizer_hash

log = logging.getLogger("trainer")
LOADERS = {"dpo": load_pairs, "rlaif": load_prompts}
"""How data of a format is loaded, where not as plain rows."""


@dataclass(frozen=True)
class Parts:
    """What a loop works with."""

    model: PreTrainedModel
    tokenizer: ChatTokenizer
    rows: Rows
    eval_rows: Rows | None
    resumed: bool
    """Whether there is a checkpoint to go on from."""
    base: Base


def prepare(config: TrainConfig, session: Session) -> Parts:
    """Load everything, in the order in which mistakes are cheapest to find.

    Raises:
        TrainerError: settings, data or base weights that cannot work, before anything is trained.
    """
    with session.ranks.in_turn():
        newest = Checkpoints(session.task_dir, config.keep_checkpoints).newest_good()
        base = _base(newest, config, session)
        tokenizer = _tokenizer(config, base, session.home)
        rows = _load(config.data_path, config, tokenizer, session)
        rows, eval_rows = _split(config, tokenizer, rows, session)
    return Parts(build_model(config, tokenizer, base), tokenizer, rows, eval_rows, newest is not None, base)


def _base(newest: Checkpoint | None, config: TrainConfig, session: Session) -> Base:
    """A resume takes its model from the checkpoint: the base may be gone by then. Adapters need theirs still."""
    if newest is None:
        return resolve_base(config, session.home)
    record = read_record(newest.path)
    if record is None:
        return Base("folder", newest.path)
    return recorded_base(record, newest.path, session.task_dir.parent)


def _tokenizer(config: TrainConfig, base: Base, home: Path) -> ChatTokenizer:
    """The tokenizer of the run. A weight is only valid with the tokenizer that it was trained with."""
    named = str(home / config.tokenizer_path) if config.tokenizer_path else None
    problems = size_problems(config.model_dump(), base.path) if base.path else []
    if problems:
        raise SettingsError(problems)
    if base.kind == "folder":
        own = load_tokenizer(str(base.tokenizer_folder))
        if named and tokenizer_hash(load_tokenizer(named)) != tokenizer_hash(own):
            raise BaseModelError(
                f"The tokenizer in {named} is not the one of the base weights {base.path}.",
                "Leave tokenizer_path empty: the base brings its own.",
            )
        return own
    tokenizer = load_tokenizer(named)
    if base.kind == "pth" and base.path is not None:
        check_pth_tokenizer(base.path, tokenizer, named, "tokenizer_path")
    return tokenizer


def _load(path: str, config: TrainConfig, tokenizer: ChatTokenizer, session: Session) -> Rows:
    full = str(session.home / path)
    cache = session.task_dir.parent / ".cache" / "tokens"
    load: Any = LOADERS.get(config.data_format, load_rows)
    rows = load(full, config, tokenizer, cache, _progress(path))
    report = rows.report
    log.info(
        "%s: %d rows, %d tokens; %d rows cut at %d tokens.",
        path,
        report.rows,
        report.tokens,
        report.truncated,
        config.max_seq_len,
    )
    for notice in report.notices:
        log.warning(notice)
    return rows


class _progress:  # noqa: N801 - used like a function
    """Logs how far the tokenising is, every tenth."""

    def __init__(self, path: str) -> None:
        self._path, self._told = path, 0

    def __call__(self, done: int, total: int) -> None:
        tenth = int(10 * done / max(total, 1))
        if tenth > self._told:
            self._told = tenth
            log.info("Tokenising %s: %d %%", self._path, 10 * tenth)


def _split(config: TrainConfig, tokenizer: ChatTokenizer, rows: Rows, session: Session) -> tuple[Rows, Rows | None]:
    """Training and evaluation rows: another file, or a part drawn by the seed."""
    if config.eval_data_path:
        return rows, _load(config.eval_data_path, config, tokenizer, session)
    count = min(config.max_eval_rows, round(len(rows) * config.eval_fraction))
    if count == 0 or len(rows) - count < 1:
        return rows, None
    order = np.random.default_rng([config.seed, len(rows)]).permutation(len(rows))
    return rows.subset(np.sort(order[count:])), rows.subset(np.sort(order[:count]))


def export_minimind(config: TrainConfig, session: Session, parts: Parts) -> None:
    """Write `out/{save_weight}_{hidden}{_moe}.pth` as MiniMind's own scripts would, with a description beside it."""
    model, sizes = parts.model, parts.model.config
    if not config.save_weight or not session.ranks.first:
        return
    if not is_minimind(sizes):
        log.info("No MiniMind file: %s is not of the MiniMind family.", type(model).__name__)
        return
    path = minimind_path(config, session, sizes)
    if config.sharded:  # this process has only its shard; the last checkpoint has all
        model = load_folder(Checkpoints(session.task_dir, 1).all()[-1].path)
    write_pth(model.state_dict(), path)
    write_json(sidecar(path), describe(config, session, parts))
    log.info("Weights written to %s.", path)


def minimind_path(config: TrainConfig, session: Session, sizes: Any) -> Path:
    """`out/{save_weight}_{hidden}{_moe}.pth`."""
    moe = "_moe" if sizes.model_type == "qwen3_moe" else ""
    return session.task_dir.parent / f"{config.save_weight}_{sizes.hidden_size}{moe}.pth"


def describe(config: TrainConfig, session: Session, parts: Parts) -> dict[str, Any]:
    """What is written beside a MiniMind file, which itself tells neither sizes nor tokenizer."""
    sizes = parts.model.config
    moe = sizes.model_type == "qwen3_moe"
    return {
        "task": session.run_id,
        "step": session.step,
        "type": config.type,
        "tokenizer": tokenizer_hash(parts.tokenizer),
        "sizes": {
            "architecture": "v2" if sizes.model_type == "llama" else "v3",
            "hidden_size": sizes.hidden_size,
            "num_hidden_layers": sizes.num_hidden_layers,
            "num_attention_heads": sizes.num_attention_heads,
            "num_key_value_heads": sizes.num_key_value_heads,
            "intermediate_size": sizes.moe_intermediate_size if moe else sizes.intermediate_size,
            "use_moe": moe,
        }
        | ({"inference_rope_scaling": True} if is_yarn(sizes.to_dict()) else {})
        | ({"num_experts": sizes.num_experts, "num_experts_per_tok": sizes.num_experts_per_tok} if moe else {}),
    }
