"""What a tokenizer folder tells without transformers: whether two models have the same words. Light: no torch.

tokenizer_fingerprint(Path("out/ab12/checkpoints/step_000100")) == tokenizer_of(Path("out/full_sft_768.pth"))
"""

import hashlib
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

TOKENIZER = "tokenizer.json"
SETTINGS = "tokenizer_config.json"
GENERIC = ("PreTrainedTokenizerFast", "TokenizersBackend")
"""Classes that take `tokenizer.json` as it is; those of a model family may rebuild it."""
_DECISIVE = ("model", "added_tokens", "normalizer", "pre_tokenizer")
_MARKS = ("bos_token", "eos_token", "pad_token")


def token_hash(content: dict[str, Any], marks: list[int | None]) -> str:
    """Fingerprint of what decides token ids.

    Args:
        content: of `tokenizer.json`, as the library tokenizers writes it.
        marks: ids of the tokens for begin, end and padding.
    """
    kept = {key: content.get(key) for key in _DECISIVE} | {"ids": marks}
    return hashlib.sha256(json.dumps(kept, sort_keys=True, ensure_ascii=True).encode()).hexdigest()


def tokenizer_fingerprint(folder: Path) -> str:
    """`trainer.tokenization.tokenizer_hash` of a folder; "" where only transformers can tell it."""
    try:
        return _fingerprint(folder, _stamp(folder / TOKENIZER), _stamp(folder / SETTINGS))
    except (OSError, ValueError):
        return ""


def words(folder: Path) -> dict[str, int] | None:
    """Tokens and their ids, without those that were added later; None where there is no readable `tokenizer.json`."""
    try:
        return _words(folder, _stamp(folder / TOKENIZER))
    except (OSError, ValueError):
        return None


def _stamp(file: Path) -> tuple[int, int]:
    status = file.stat()
    return status.st_mtime_ns, status.st_size


@lru_cache(maxsize=8)
def _fingerprint(folder: Path, *_: tuple[int, int]) -> str:
    settings = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
    if settings.get("tokenizer_class") not in GENERIC:
        return ""
    tokenizer = _load(folder)
    content = json.loads(tokenizer.to_str())
    added = {token["content"] for token in content["added_tokens"]}
    also = {_text(token) for token in settings.get("added_tokens_decoder", {}).values()}
    marks = [_text(settings.get(name)) for name in _MARKS]
    if not (also | set(marks)) - {""} <= added:
        return ""  # transformers would add what is missing
    return token_hash(content, [tokenizer.token_to_id(mark) if mark else None for mark in marks])


@lru_cache(maxsize=8)
def _words(folder: Path, _: tuple[int, int]) -> dict[str, int]:
    return _load(folder).get_vocab(with_added_tokens=False)


def _load(folder: Path) -> Any:
    from tokenizers import Tokenizer  # here, because it takes a while to import

    try:
        return Tokenizer.from_file(str(folder / TOKENIZER))
    except Exception as error:  # the library raises nothing narrower
        raise ValueError(str(error)) from None


def _text(token: Any) -> str:
    """A token as its settings write it: text, or text with flags."""
    return token.get("content", "") if isinstance(token, dict) else token or ""
