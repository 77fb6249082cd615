"""Adapters and their base become one model of its own: W + scale · B · A in float32.

merge("out/ab12/checkpoints/step_000200", None, Path("merged"), Path("out"))
"""

import shutil
from pathlib import Path

from transformers import PreTrainedModel

from trainer.adapter_bases import check_base, record_beside
from trainer.adapters import merge_adapters, read_adapters
from trainer.base_sizes import base_sizes, is_adapter, sidecar
from trainer.bases import Base, base_at, check_pth_tokenizer, load_base, record_of, recorded_base
from trainer.errors import BaseModelError
from trainer.lora_files import is_lora, merge_lora
from trainer.minimind_files import read_pth, write_pth
from trainer.models import is_minimind, save_folder
from trainer.session import write_json
from trainer.tokenization import ChatTokenizer, load_tokenizer, tokenizer_hash


def merge(
    lora: str,
    base: str | None,
    target: Path,
    out: Path,
    tokenizer: str | None = None,
    heads: int = 8,
    pth: Path | None = None,
) -> int:
    """Merge adapters into their base and write the result.

    Args:
        lora: a folder of adapters in PEFT's layout, a MiniMind LoRA file of v3 or v2, or models:/name/version.
        base: a Hugging Face folder, a MiniMind file or models:/name/version; None for what the adapters note.
        target: folder to write, in Hugging Face's layout.
        out: folder of task directories, for registered models.
        tokenizer: folder of the base's tokenizer, for a base that brings none.
        heads: attention heads of a v2 file.
        pth: MiniMind file to write too.

    Returns:
        The number of layers that had an adapter.

    Raises:
        BaseModelError: something is missing, or the adapters belong to another base.
    """
    adapters = _place(lora, out)
    _check_adapters(adapters)
    record = record_beside(adapters)
    under = _base(base, adapters, out)
    words = load_tokenizer(tokenizer) if tokenizer else _tokenizer(adapters, under)
    model = load_base(under, words, heads)
    if record is not None:
        check_base(record, record_of(under, model, words, base or record.name), f"The adapters in {adapters}")
    if pth and not is_minimind(model.config):
        raise BaseModelError(f"{type(model).__name__} is not of the MiniMind family.", "Leave --pth out.")
    merged, count = _merged(model, adapters)
    _write(merged, words, target)
    if pth:
        write_pth(merged.state_dict(), pth)
        write_json(sidecar(pth), {"type": "merge", "tokenizer": tokenizer_hash(words), "sizes": base_sizes(target)})
    return count


def _place(name: str, out: Path) -> Path:
    if name.startswith("models:/"):
        from trainer.registry import local_version

        return local_version(name, out)
    path = Path(name).expanduser()
    if not path.exists():
        raise BaseModelError(f"There is no {path.absolute()}.", "Name a folder, a file or models:/name/version.")
    return path


def _check_adapters(path: Path) -> None:
    if not (is_adapter(path) if path.is_dir() else is_lora(read_pth(path))):
        raise BaseModelError(f"{path} holds no adapters.", "Name a checkpoint of a lora training or a LoRA file.")


def _base(name: str | None, adapters: Path, out: Path) -> Base:
    if name:
        return base_at(_place(name, out), out)
    record = record_beside(adapters)
    if record is None:
        raise BaseModelError(f"Nothing tells which base the adapters in {adapters} belong to.", "Name it with --base.")
    return recorded_base(record, adapters, out)


def _tokenizer(adapters: Path, base: Base) -> ChatTokenizer:
    """That of the base: its own folder's, else the one that the adapters bring along, else the shipped one."""
    folders = [p for p in (base.path, adapters) if p is not None and p.is_dir() and (p / "tokenizer.json").exists()]
    if folders:
        return load_tokenizer(str(folders[0]))
    words = load_tokenizer(None)
    if base.path is not None:
        check_pth_tokenizer(base.path, words, None, "--tokenizer")
    return words


def _merged(model: PreTrainedModel, adapters: Path) -> tuple[PreTrainedModel, int]:
    if adapters.is_dir():
        return merge_adapters(model, adapters), sum(".lora_A" in key for key in read_adapters(adapters))
    state = read_pth(adapters)
    return merge_lora(model, state, adapters), len(state) // 2


def _write(model: PreTrainedModel, tokenizer: ChatTokenizer, target: Path) -> None:
    """The folder appears when it is complete."""
    temporary = target.with_name(f".{target.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        temporary.mkdir(parents=True)
        save_folder(model, tokenizer, temporary)
        temporary.rename(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
