"""Tokenizers: the one that ships with MiniMind Platform, those of other models, and training a new one.

    tokenizer = load_tokenizer(None)
    train_tokenizer(["dataset/pretrain.jsonl"], "dataset/my_tokenizer")

The shipped one is byte-level BPE with 6,400 entries. Its first 36 ids are those of MiniMind v3, so that prompts, masks
and vision or audio models built on MiniMind find their marks where they expect them.
"""

import json
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerFast
from transformers.utils import logging as transformers_logging

from trainer.errors import BaseModelError, DataError
from trainer.row_formats import row_texts
from trainer.rows import detect_format, read_rows
from trainer.sources import SUFFIXES
from trainer.tokenizer_files import GENERIC, token_hash

# encode() may use all cores; set by hand, because a later fork (a data loader's) would else print a warning
os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")

ChatTokenizer: TypeAlias = PreTrainedTokenizerFast

SHIPPED = Path(__file__).parent / "tokenizer"
VOCAB_SIZE = 6400
SPECIAL = (
    *("<|endoftext|>", "<|im_start|>", "<|im_end|>"),
    *("<|object_ref_start|>", "<|object_ref_end|>", "<|box_start|>", "<|box_end|>", "<|quad_start|>", "<|quad_end|>"),
    *("<|vision_start|>", "<|vision_end|>", "<|vision_pad|>", "<|image_pad|>", "<|video_pad|>"),
    *("<|audio_start|>", "<|audio_end|>", "<|audio_pad|>"),
    *("<tts_pad>", "<tts_text_bos>", "<tts_text_eod>", "<tts_text_bos_single>"),
)
"""Ids 0 to 20; left out of decoded text."""
MARKS = (
    *("<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>", "<think>", "</think>"),
    *(f"<|buffer{number}|>" for number in range(1, 10)),
)
"""Ids 21 to 35; one token each, but part of the text."""
_SETTINGS = {
    "tokenizer_class": "PreTrainedTokenizerFast",
    "bos_token": "<|im_start|>",
    "eos_token": "<|im_end|>",
    "pad_token": "<|endoftext|>",
    "unk_token": "<|endoftext|>",
    "clean_up_tokenization_spaces": False,
    "model_max_length": 131_072,
}
_LONGEST_TOKEN = 16
"""Bytes. Without a limit, sentences that repeat in the training text would become tokens."""


def load_tokenizer(path: str | None) -> ChatTokenizer:
    """Load a tokenizer folder in Hugging Face format; None is the shipped one. Never asks the network.

    Raises:
        BaseModelError: there is no such folder, or no tokenizer in it.
    """
    folder = Path(path) if path else SHIPPED
    if not folder.is_dir():
        hint = "Leave tokenizer_path empty for the tokenizer that ships with MiniMind Platform."
        raise BaseModelError(f"There is no tokenizer folder {folder.absolute()}.", hint)
    files = ("tokenizer.json", "tokenizer_config.json", "tokenizer.model", "vocab.json")
    if not any((folder / name).exists() for name in files):
        raise BaseModelError(
            f"No tokenizer in {folder.absolute()}: it has none of {', '.join(files)}.", "Copy the model's own into it."
        )
    try:
        tokenizer = _load(folder)
    except Exception as error:  # whatever a damaged file makes transformers raise
        reason = str(error).strip().split("\n")[0]
        raise BaseModelError(f"The tokenizer in {folder.absolute()} cannot be loaded ({reason}).") from error
    if not tokenizer.is_fast:
        raise BaseModelError(
            f"The tokenizer in {folder.absolute()} has no tokenizer.json.", "Convert it to a fast one."
        )
    if tokenizer.eos_token_id is None and tokenizer.pad_token_id is None:
        raise BaseModelError(f"The tokenizer in {folder.absolute()} has neither eos nor pad token, so no text can end.")
    return tokenizer


def _load(folder: Path) -> Any:
    config = folder / "tokenizer_config.json"
    name = json.loads(config.read_text("utf-8")).get("tokenizer_class") if config.exists() else None
    generic = name in GENERIC and (folder / "tokenizer.json").exists()
    level = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()  # remarks on config.json, which is none of the tokenizer's business
    try:
        # AutoTokenizer would go by the model in config.json beside it and may rebuild the tokenizer as that model's
        cls = PreTrainedTokenizerFast if generic else AutoTokenizer
        return cls.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
    finally:
        transformers_logging.set_verbosity(level)


def tokenizer_hash(tokenizer: ChatTokenizer | str | Path) -> str:
    """Fingerprint of what decides token ids. Equal for a folder and for the tokenizer loaded from it, and kept by
    `save_pretrained`; the chat template is no part of it."""
    if isinstance(tokenizer, str | Path):
        tokenizer = load_tokenizer(str(tokenizer))
    marks = [tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id]
    return token_hash(json.loads(tokenizer.backend_tokenizer.to_str()), marks)  # type: ignore[arg-type]


def bytes_per_token(tokenizer: ChatTokenizer, texts: Iterable[str]) -> float:
    """UTF-8 bytes that one token stands for; higher is better compression."""
    texts = [text for text in texts if text]
    tokens = sum(len(ids) for ids in encode(tokenizer, texts))
    return sum(len(text.encode()) for text in texts) / max(tokens, 1)


def encode(tokenizer: ChatTokenizer, texts: list[str]) -> list[list[int]]:
    """Token ids of many texts at once, with nothing added or cut."""
    if not texts:
        return []
    backend = tokenizer.backend_tokenizer  # half again as fast as calling the tokenizer, with the same ids
    backend.no_truncation()
    backend.no_padding()
    return [encoding.ids for encoding in backend.encode_batch_fast(texts, add_special_tokens=False)]


def train_tokenizer(files: Iterable[str | Path], out_folder: str | Path, vocab_size: int = VOCAB_SIZE) -> Path:
    """Train a byte-level BPE tokenizer on data files (JSONL of any format, or plain text) with the shipped template.

    Raises:
        DataError: a file cannot be read, the folder already has a tokenizer, or there is too little text.
    """
    out, files = Path(out_folder), [Path(file) for file in files]
    if (out / "tokenizer.json").exists():
        raise DataError(f"{out} already has a tokenizer, which weights may depend on.", "Choose another folder.")
    smallest = len(SPECIAL) + len(MARKS) + 256
    if vocab_size < smallest:
        raise DataError(f"vocab_size {vocab_size} is too small; {smallest} are needed for bytes and marks.")
    tokenizer = Tokenizer(models.BPE())
    # no merge may contain a line break or two digits: the marks of a conversation stay the same tokens whatever text
    # follows, and numbers are spelled digit by digit, from which a small model can learn to calculate
    alone = pre_tokenizers.Split(Regex(r"\n|\p{N}"), "isolated")
    by_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([alone, by_bytes])
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[AddedToken(text, special=True, normalized=False) for text in (*SPECIAL, *MARKS)],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        max_token_length=_LONGEST_TOKEN,
        show_progress=False,
    )
    tokenizer.train_from_iterator(_all_texts(files), trainer)
    if tokenizer.get_vocab_size() != vocab_size:
        found = (
            f"Only {tokenizer.get_vocab_size():,} of {vocab_size:,} entries could be learnt from {len(files)} files."
        )
        raise DataError(found, "Give more text, or choose a smaller vocab_size.")
    tokenizer.pre_tokenizer = by_bytes
    tokenizer.decoder = decoders.ByteLevel()
    _write(tokenizer, out)
    return out


def _write(tokenizer: Tokenizer, out: Path) -> None:
    content = json.loads(tokenizer.to_str())
    for token in content["added_tokens"]:
        token["special"] = token["content"] in SPECIAL
    out.mkdir(parents=True, exist_ok=True)
    (out / "tokenizer_config.json").write_text(json.dumps(_SETTINGS, indent=2) + "\n", "utf-8")
    if out.resolve() != SHIPPED.resolve():
        shutil.copyfile(SHIPPED / "chat_template.jinja", out / "chat_template.jinja")
    (out / "tokenizer.json").write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", "utf-8")


def file_rows(file: str | Path) -> Iterator[list[str]]:
    """The texts of each row of a data file; of each paragraph if it is plain text."""
    file = Path(file)
    if not file.name.endswith(SUFFIXES) and not file.is_dir():
        if not file.is_file():
            raise DataError(f"There is no file {file.absolute()}.")
        yield from ([paragraph] for paragraph in file.read_text("utf-8", errors="replace").split("\n\n"))
        return
    # without a format, read as pretraining data, whose errors say what a row looks like
    for _, row in read_rows(file, detect_format(file) or "pretrain"):
        yield [text for text in row_texts(row) if text]


def _all_texts(files: list[Path]) -> Iterator[str]:
    for file in files:
        for texts in file_rows(file):
            yield from texts
