"""Base weights: found by any of their names, loaded, and adapters merged into the base that they belong to.

base = resolve_base(config, home)
model = build_model(config, tokenizer, base)
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from trainer.adapter_bases import BaseRecord, chained, check_base, fingerprint, record_beside, sizes_of
from trainer.base_sizes import base_sizes, is_adapter, tokenizer_of
from trainer.configs import TrainConfig
from trainer.errors import BaseModelError
from trainer.lora_files import merge_lora
from trainer.minimind_files import Sizes, infer_sizes, read_pth
from trainer.models import load_folder, load_pth, model_config, model_of, new_model
from trainer.tokenization import tokenizer_hash


@dataclass(frozen=True)
class Base:
    """Where the first weights come from."""

    kind: Literal["none", "pth", "folder"]
    path: Path | None = None
    record: BaseRecord | None = None
    """Of adapters: the base that they belong to."""
    under: "Base | None" = None
    """Of adapters: where that base is now."""

    @property
    def tokenizer_folder(self) -> Path | None:
        """The folder whose tokenizer belongs to these weights, if they bring one."""
        return self.path if self.kind == "folder" else None


def resolve_base(config: TrainConfig, home: Path) -> Base:
    """Find the weights that `from_weight` names.

    Args:
        config: the settings.
        home: folder that relative paths start from.

    Raises:
        BaseModelError: there are none; the message says where they were looked for.
    """
    width, moe, free = config.hidden_size, config.use_moe, not config.needs_base
    return find_base(config.from_weight, width, moe, config.save_dir, home, may_be_none=free)


def find_base(
    name: str,
    width: int,
    moe: bool,
    save_dir: str,
    home: Path,
    option: str = "from_weight",
    may_be_none: bool = False,
) -> Base:
    """Find weights by any of their names.

    Args:
        name: none, a registered model, a folder, a file, or a MiniMind prefix.
        width: of a model that is named by a prefix.
        moe: whether a model that is named by a prefix is a mixture of experts.
        save_dir: folder of MiniMind weight files.
        home: folder that relative paths start from.
        option: the setting that names them, for the message.
        may_be_none: whether the setting may be none, for the message.

    Raises:
        BaseModelError: there are none; the message says where they were looked for.
    """
    name, out = name.strip(), _absolute(save_dir, home)
    if name in ("", "none"):
        return Base("none")
    if name.startswith("models:/"):
        from trainer.registry import local_version

        return base_at(local_version(name, out), out)
    path = _absolute(name, home)
    if path.is_dir() and not ((path / "config.json").is_file() or is_adapter(path)):
        raise BaseModelError(f"{path} is not a Hugging Face model folder: it has no config.json.")
    prefixed = out / f"{name}_{width}{'_moe' if moe else ''}.pth"
    for found in (path, prefixed):
        if found.exists():
            return base_at(found, out)
    raise BaseModelError(
        f"No weights for --{option} {name}: there is neither {path} nor {prefixed}.",
        "Train that stage first, or choose a registered model"
        + (f", or set {option} to none to start from scratch." if may_be_none else "."),
    )


def base_at(path: Path, out: Path) -> Base:
    """The base weights in a folder or file. Adapters bring their own base along, found by what was noted of it.

    Args:
        path: the folder or file.
        out: folder of task directories, for registered models.

    Raises:
        BaseModelError: the base of adapters is not known, or gone.
    """
    kind = "folder" if path.is_dir() else "pth"
    if not is_adapter(path):
        return Base(kind, path)
    record = record_beside(path)
    if record is None:
        raise BaseModelError(
            f"{path} holds adapters, and nothing tells which base they belong to.",
            "Merge them into it first: minimind merge --base BASE --lora ADAPTERS --out FOLDER.",
        )
    return Base(kind, path, record, recorded_base(record, path, out))


def recorded_base(record: BaseRecord, adapters: Path, out: Path) -> Base:
    """Where the base of some adapters is now.

    Args:
        record: what was noted of it.
        adapters: the adapters, for the message.
        out: folder of task directories, for registered models.

    Raises:
        BaseModelError: it is gone.
    """
    if Path(record.path).exists():
        return base_at(Path(record.path), out)
    if record.name.startswith("models:/"):
        from trainer.registry import local_version

        return base_at(local_version(record.name, out), out)
    raise BaseModelError(
        f"The adapters in {adapters} need their base {record.name}, which is no longer at {record.path}.",
        "Put it back, or choose other weights.",
    )


def _absolute(name: str, home: Path) -> Path:
    path = Path(name).expanduser()
    return path if path.is_absolute() else home / path


def build_model(config: TrainConfig, tokenizer: PreTrainedTokenizerBase, base: Base) -> PreTrainedModel:
    """The model to train, in float32 on the CPU: fresh with `config.seed`, or with the weights of `base`.

    Raises:
        BaseModelError: the weights do not fit the settings or the tokenizer.
    """
    yarn = config.inference_rope_scaling
    if base.path is None:
        torch.manual_seed(config.seed)
        return new_model(model_config(config, len(tokenizer), tokenizer))
    if base.kind == "pth" and base.record is None:
        state = read_pth(base.path)
        model = model_of(state, base.path, config.num_attention_heads, config.num_experts_per_tok, yarn, tokenizer)
        _check_vocabulary(model.config.vocab_size, tokenizer, base.path)
        _check_sizes(config, infer_sizes(state, config.num_attention_heads), base.path)
        return model
    return load_base(base, tokenizer, config.num_attention_heads, config.num_experts_per_tok, yarn)


def load_base(
    base: Base,
    tokenizer: PreTrainedTokenizerBase,
    heads: int = 8,
    experts_per_token: int = 1,
    yarn: bool | None = None,
) -> PreTrainedModel:
    """The weights of a base in float32, adapters merged into theirs.

    Args:
        base: weights that exist.
        tokenizer: the one that belongs to them.
        heads: attention heads, where a MiniMind v2 file has nothing beside it that tells them.
        experts_per_token: the same for a mixture of experts.
        yarn: with or without MiniMind's YaRN; None: as the weights say.

    Raises:
        BaseModelError: they cannot be loaded, or adapters lie on another base than theirs.
    """
    path = base.path
    assert path is not None
    if base.record is not None and base.under is not None:
        yarn = bool(base_sizes(path).get("inference_rope_scaling")) if yarn is None else yarn
        model = load_base(base.under, tokenizer, heads, experts_per_token, yarn)
        check_base(base.record, record_of(base.under, model, tokenizer), f"The adapters in {path}")
        if base.kind == "pth":
            return merge_lora(model, read_pth(path), path)
        from trainer.adapters import merge_adapters  # loads PEFT, which nothing else here needs

        return merge_adapters(model, path)
    if base.kind == "pth":
        known = base_sizes(path)
        heads = known.get("num_attention_heads", heads)
        experts = known.get("num_experts_per_tok", experts_per_token)
        yarn = bool(known.get("inference_rope_scaling")) if yarn is None else yarn
        model = load_pth(path, heads, experts, yarn, tokenizer)
    else:
        model = load_folder(path, yarn)
    _check_vocabulary(model.get_input_embeddings().num_embeddings, tokenizer, path)  # type: ignore[arg-type]
    return model


def record_of(base: Base, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, name: str = "") -> BaseRecord:
    """What to note of a base, so that adapters trained on it are never put on another.

    Args:
        base: the base.
        model: its weights, before adapters are put into it.
        tokenizer: its tokenizer.
        name: how the settings name it; its path if left out.
    """
    assert base.path is not None
    if base.record is not None:
        sha256 = chained(base.record, base.path)
    else:
        sha256 = fingerprint(model)
    path = str(base.path.absolute())
    return BaseRecord(name or path, path, sha256, tokenizer_hash(tokenizer), sizes_of(model))  # type: ignore[arg-type]


def check_pth_tokenizer(path: Path, tokenizer: PreTrainedTokenizerBase, named: str | None, option: str) -> None:
    """Refuse a tokenizer for a MiniMind file that was trained with another, or that nobody knows the tokenizer of.

    Args:
        path: the file.
        tokenizer: what would be used.
        named: its folder, if a person has named it.
        option: where a person names it.
    """
    known = tokenizer_of(path)
    if known and known != tokenizer_hash(tokenizer):  # type: ignore[arg-type]
        raise BaseModelError(
            f"{path} was trained with another tokenizer than {named or 'the one that ships with MiniMind Platform'}.",
            f"Name the folder of its tokenizer in {option}.",
        )
    if not known and not named:
        raise BaseModelError(
            f"{path} does not tell which tokenizer it was trained with.",
            f"Name the folder of its tokenizer in {option}; for MiniMind's released weights that is MiniMind's own "
            "folder `model`.",
        )


def _check_sizes(config: TrainConfig, sizes: Sizes, path: Path) -> None:
    """A weight file of other sizes than asked for is refused: MiniMind would load what fits in silence."""
    asked = {
        "architecture": config.architecture,
        "hidden_size": config.hidden_size,
        "num_hidden_layers": config.num_hidden_layers,
        "num_attention_heads": config.num_attention_heads,
        "num_key_value_heads": config.num_key_value_heads,
        "intermediate_size": config.feed_forward_size,
        "num_experts": config.num_experts if config.use_moe else 0,
    }
    different = {name: getattr(sizes, name) for name, value in asked.items() if getattr(sizes, name) != value}
    if different:
        has = ", ".join(f"{name} {value}" for name, value in different.items())
        wants = ", ".join(f"{name} {asked[name]}" for name in different)
        raise BaseModelError(f"{path} has {has}, but the settings say {wants}.", f"Set {has}, or choose another base.")


def _check_vocabulary(rows: int, tokenizer: PreTrainedTokenizerBase, path: Path) -> None:
    # Some models round their embedding up, so that it may be larger than the tokenizer, but never smaller.
    if rows < len(tokenizer) or (rows != len(tokenizer) and rows - len(tokenizer) >= 1024):
        raise BaseModelError(
            f"{path} has {rows} token embeddings, but the tokenizer has {len(tokenizer)} entries.",
            "A weight is only valid with its own tokenizer: name that folder in tokenizer_path.",
        )
