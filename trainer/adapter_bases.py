"""Which base some adapters belong to: noted when they are written, and checked before they are put on a model.

record = record_of("models:/minimind-sft/3", path, model, tokenizer)
write_record(record, folder)
check_base(folder, model, "out/full_sft_768.pth")
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel

from trainer.base_sizes import adapter_record
from trainer.errors import BaseModelError

RECORD = "base.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"
_SIZES = ("model_type", "vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads")


@dataclass(frozen=True)
class BaseRecord:
    """The base of some adapters."""

    name: str
    """As the settings named it: models:/name/version, a folder, a file or a MiniMind prefix."""
    path: str
    """Where it was, absolute."""
    sha256: str
    """Fingerprint of its weights."""
    tokenizer: str
    """Hash of its tokenizer."""
    sizes: dict[str, Any]


def fingerprint(model: torch.nn.Module) -> str:
    """SHA-256 over all weights, tied ones once: equal for equal weights, whatever file they come from. A gigabyte takes
    about a second."""
    digest = hashlib.sha256()
    for name, parameter in sorted(model.named_parameters()):
        tensor = parameter.detach().cpu().float().contiguous()
        digest.update(f"{name} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def chained(record: BaseRecord, adapters: Path) -> str:
    """Fingerprint of a base with adapters merged into it: of both parts, because sums differ in the last bit from
    machine to machine.

    Args:
        record: the base of the adapters.
        adapters: their folder or MiniMind file.
    """
    with (adapters / ADAPTER_WEIGHTS if adapters.is_dir() else adapters).open("rb") as file:
        part = hashlib.file_digest(file, "sha256").hexdigest()
    return hashlib.sha256(f"{record.sha256} {part}".encode()).hexdigest()


def sizes_of(model: PreTrainedModel) -> dict[str, Any]:
    """What must be equal for adapters to fit at all."""
    return {name: getattr(model.config, name, None) for name in _SIZES}


def write_record(record: BaseRecord, folder: Path) -> None:
    """Note the base beside the adapters."""
    text = json.dumps(asdict(record), indent=2, ensure_ascii=False) + "\n"
    (folder / RECORD).write_text(text, encoding="utf-8")


def read_record(folder: Path) -> BaseRecord | None:
    """The base that is noted beside adapters; None if nobody has noted it."""
    try:
        return record_from(json.loads((folder / RECORD).read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return None


def record_beside(adapters: Path) -> BaseRecord | None:
    """The base of a folder of adapters or of a MiniMind LoRA file; None if nobody has noted it."""
    if adapters.is_dir():
        return read_record(adapters)
    try:
        return record_from(adapter_record(adapters))
    except ValueError:
        return None


def record_from(content: dict[str, Any]) -> BaseRecord:
    """A record as it was written.

    Raises:
        ValueError: it is none.
    """
    try:
        return BaseRecord(**content)
    except TypeError as error:
        raise ValueError(str(error)) from None


def record_difference(folder: Path, now: BaseRecord) -> str:
    """Why adapters do not belong to a base, in a sentence that names both; "" if they do, or if it is not known."""
    was = read_record(folder)
    return "" if was is None else difference(was, now, f"The adapters in {folder}")


def difference(was: BaseRecord, now: BaseRecord, what: str) -> str:
    """As `record_difference`, for adapters whose record is known already."""
    told = f"{what} belong to {was.name}"
    sizes = {name: value for name, value in was.sizes.items() if now.sizes.get(name) != value}
    if sizes:
        has = ", ".join(f"{name} {value}" for name, value in sizes.items())
        other = ", ".join(f"{name} {now.sizes.get(name)}" for name in sizes)
        return f"{told} with {has}, but {now.name} has {other}."
    if now.tokenizer and was.tokenizer and was.tokenizer != now.tokenizer:
        return f"{told}, but {now.name} has another tokenizer."
    if was.sha256 != now.sha256:
        return (
            f"{told} with weights of SHA-256 {was.sha256[:12]}…, but {now.name} holds others ({now.sha256[:12]}…): "
            "another model, or one that has changed since."
        )
    return ""


def check_base(was: BaseRecord, now: BaseRecord, what: str) -> None:
    """Refuse adapters on a base that is not theirs.

    Raises:
        BaseModelError: with both names.
    """
    different = difference(was, now, what)
    if different:
        raise BaseModelError(different, "Choose the base they belong to, or train new adapters on this one.")
