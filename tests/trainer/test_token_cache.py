"""The token cache: made once, whole or not at all, and made again when it is damaged."""

import json
import multiprocessing
import os
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trainer import token_cache
from trainer.chat import EMPTY_THINK
from trainer.errors import BaseModelError, DataError, DiskError
from trainer.samples import generate
from trainer.sources import Place
from trainer.token_cache import TokenCache, open_cache
from trainer.tokenization import ChatTokenizer, load_tokenizer


@pytest.fixture(scope="module")
def tokenizer() -> ChatTokenizer:
    return load_tokenizer(None)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    return {path.stem: path for path in generate(tmp_path / "data", rows=60)}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def tokens(cache: TokenCache, row: int, bare: bool = False) -> list[int]:
    start, length = ("bare_start", "bare_length") if bare else ("start", "length")
    found = cache.rows[row]
    return cache.ids[found[start] : found[start] + found[length]].tolist()


def same(one: TokenCache, other: TokenCache) -> bool:
    masks = (one.mask is None and other.mask is None) or np.array_equal(one.mask[:], other.mask[:])
    return np.array_equal(one.ids[:], other.ids[:]) and np.array_equal(one.rows[:], other.rows[:]) and masks


def test_a_cache_holds_the_tokens_of_every_row(tokenizer: ChatTokenizer, files: dict[str, Path], home: Path) -> None:
    cache = open_cache(files["pretrain"], "pretrain", tokenizer, home)
    texts = [json.loads(line)["text"] for line in files["pretrain"].read_text("utf-8").splitlines()]
    assert [tokens(cache, i) for i in range(len(texts))] == [tokenizer.encode(text) for text in texts]
    assert cache.rows[:]["line"].tolist() == list(range(1, len(texts) + 1))
    assert cache.ids.dtype == np.uint16
    assert cache.mask is None


def test_both_variants_of_a_conversation_are_kept_and_rows_without_empty_thoughts_only_once(
    tokenizer: ChatTokenizer, tmp_path: Path, home: Path
) -> None:
    question = {"role": "user", "content": "Q"}
    answers = [{"role": "assistant", "content": "A"}, {"role": "assistant", "content": "A", "reasoning_content": "hm"}]
    path = tmp_path / "chat.jsonl"
    path.write_text("".join(json.dumps({"conversations": [question, answer]}) + "\n" for answer in answers))
    cache = open_cache(path, "sft", tokenizer, home)
    text = tokenizer.decode(tokens(cache, 0))
    assert EMPTY_THINK in text
    assert tokenizer.decode(tokens(cache, 0, bare=True)) == text.replace(EMPTY_THINK, "")
    assert cache.rows[1]["bare_start"] == cache.rows[1]["start"]
    assert tokens(cache, 1) == tokens(cache, 1, bare=True)
    assert cache.mask is not None and len(cache.mask) == len(cache.ids)
    first = cache.rows[0]["first_label"]
    assert cache.mask[:first].sum() == 0 and cache.mask[first] == 1


def test_a_cache_is_made_once(tokenizer: ChatTokenizer, files: dict[str, Path], home: Path) -> None:
    calls: list[tuple[int, int]] = []
    first = open_cache(files["sft"], "sft", tokenizer, home, lambda done, total: calls.append((done, total)))
    size = files["sft"].stat().st_size
    assert calls[-1] == (size, size)
    calls.clear()
    assert same(open_cache(files["sft"], "sft", tokenizer, home, lambda *call: calls.append(call)), first)
    assert calls == []


def test_progress_rises_through_the_file(
    tokenizer: ChatTokenizer, files: dict[str, Path], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    whole = open_cache(files["sft"], "sft", tokenizer, home / "a")
    monkeypatch.setattr(token_cache, "_BATCH_ROWS", 5)
    small = open_cache(files["sft"], "sft", tokenizer, home / "b", lambda done, _: calls.append(done))
    assert len(calls) == 5
    assert calls == sorted(set(calls))
    assert same(small, whole)


def test_another_file_tokenizer_template_or_format_gets_a_cache_of_its_own(
    files: dict[str, Path], home: Path, minimind: Path
) -> None:
    ours, theirs = load_tokenizer(None), load_tokenizer(str(minimind / "v3-dense" / "transformers-qwen3"))
    assert ours.chat_template != theirs.chat_template
    changed = load_tokenizer(None)
    changed.chat_template = theirs.chat_template
    for count, (name, tokenizer) in enumerate(
        [("sft", ours), ("sft", theirs), ("sft", changed), ("reason", ours), ("sft", ours)], 1
    ):
        open_cache(files[name], "sft", tokenizer, home)
        assert len(list(home.iterdir())) == min(count, 4)


def test_a_copy_of_the_file_uses_the_same_cache(
    tokenizer: ChatTokenizer, files: dict[str, Path], home: Path, tmp_path: Path
) -> None:
    shutil.copy(files["sft"], tmp_path / "copy.jsonl")
    for path in (files["sft"], tmp_path / "copy.jsonl"):
        open_cache(path, "sft", tokenizer, home)
    assert len(list(home.iterdir())) == 1


@pytest.mark.parametrize("name", ["ids.bin", "mask.bin", "rows.bin", "meta.json"])
@pytest.mark.parametrize("damage", ["removed", "cut", "changed", "emptied"])
def test_damaged_caches_are_made_again(
    tokenizer: ChatTokenizer, files: dict[str, Path], home: Path, name: str, damage: str
) -> None:
    first = open_cache(files["sft"], "sft", tokenizer, home)
    expected = (first.ids[:], first.mask[:], first.rows[:])
    (folder,) = home.iterdir()
    raw = (folder / name).read_bytes()
    (folder / name).unlink()
    if damage != "removed":
        broken = {"cut": raw[:-1], "changed": bytes([raw[0] ^ 1]) + raw[1:], "emptied": b""}[damage]
        (folder / name).write_bytes(broken)
    again = open_cache(files["sft"], "sft", tokenizer, home)
    assert all(
        np.array_equal(a, b) for a, b in zip(expected, (again.ids[:], again.mask[:], again.rows[:]), strict=True)
    )
    assert list(home.iterdir()) == [folder]


def test_a_file_in_the_way_of_a_cache_is_told(tokenizer: ChatTokenizer, files: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "blocked").write_text("")
    with pytest.raises(DiskError, match="cannot be written"):
        open_cache(files["sft"], "sft", tokenizer, tmp_path / "blocked" / "tokens")


def test_a_bad_row_leaves_no_cache(tokenizer: ChatTokenizer, files: dict[str, Path], home: Path) -> None:
    with files["sft"].open("a") as stream:
        stream.write("{\n")
    with pytest.raises(DataError, match="line 25: not valid JSON"):
        open_cache(files["sft"], "sft", tokenizer, home)
    assert list(home.iterdir()) == []


def test_a_file_that_grows_while_it_is_read_is_refused(
    tokenizer: ChatTokenizer, files: dict[str, Path], home: Path
) -> None:
    def grow(*_: int) -> None:
        with files["pretrain"].open("a") as stream:
            stream.write('{"text": "late"}\n')

    with pytest.raises(DataError, match="changed while it was being read"):
        open_cache(files["pretrain"], "pretrain", tokenizer, home, grow)
    assert list(home.iterdir()) == []


def test_a_folder_is_cached_as_one_and_any_file_of_it_that_changes_counts(
    tokenizer: ChatTokenizer, tmp_path: Path, home: Path
) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    for name in ("b.jsonl", "a.jsonl"):
        (folder / name).write_text("".join(f'{{"text": "{name} {i}", "id": 1}}\n' for i in range(3)))
    cache = open_cache(folder, "pretrain", tokenizer, home)
    assert [cache.place(row) for row in range(6)] == [Place(file, line) for file in (0, 1) for line in (1, 2, 3)]
    assert tokenizer.decode(tokens(cache, 4)) == "b.jsonl 1"
    assert cache.ignored == open_cache(folder, "pretrain", tokenizer, home).ignored == [{"id"}, {"id"}]

    def add(*_: int) -> None:
        (folder / "c.jsonl").write_text('{"text": "late"}\n')

    (folder / "a.jsonl").write_text('{"text": "other"}\n')
    with pytest.raises(DataError, match="changed while it was being read"):
        open_cache(folder, "pretrain", tokenizer, home, add)
    assert len(open_cache(folder, "pretrain", tokenizer, home).rows) == 5


def test_a_wrong_file_at_the_end_of_a_folder_is_told_at_once(
    tokenizer: ChatTokenizer, files: dict[str, Path], home: Path
) -> None:
    calls: list[int] = []
    with pytest.raises(DataError, match=r"arithmetic_rlaif\.jsonl line 1: no text .*") as caught:
        open_cache(files["sft"].parent, "pretrain", tokenizer, home, lambda *call: calls.append(1))
    assert "This looks like RLAIF data" in caught.value.hint and not calls


def test_a_template_that_refuses_a_row_names_its_line(files: dict[str, Path], home: Path) -> None:
    tokenizer = load_tokenizer(None)
    tokenizer.chat_template = "{{ raise_exception('roles must alternate') }}"
    with pytest.raises(DataError, match=r"line 1: the tokenizer's chat template refuses it .roles must alternate"):
        open_cache(files["sft"], "sft", tokenizer, home)


def test_conversations_need_a_template(files: dict[str, Path], home: Path) -> None:
    tokenizer = load_tokenizer(None)
    tokenizer.chat_template = None
    with pytest.raises(BaseModelError, match="no chat template"):
        open_cache(files["sft"], "sft", tokenizer, home)
    assert len(open_cache(files["pretrain"], "pretrain", tokenizer, home).rows) == 60


def test_very_long_rows_are_kept_to_the_limit_plus_one(
    tokenizer: ChatTokenizer, tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(token_cache, "STORED_TOKENS", 10)
    path = tmp_path / "long.jsonl"
    path.write_text(json.dumps({"text": "1" * 50}) + "\n" + json.dumps({"text": "1"}) + "\n")
    assert open_cache(path, "pretrain", tokenizer, home).rows[:]["length"].tolist() == [10, 1]


def build(path: Path, home: Path, start: Any, results: Any) -> None:
    tokenizer = load_tokenizer(None)
    start.wait()
    cache = open_cache(path, "sft", tokenizer, home)
    results.put((len(cache.rows), int(cache.ids[:].sum(dtype=np.int64))))


def test_processes_that_make_the_same_cache_at_once_all_get_it(files: dict[str, Path], home: Path) -> None:
    context = multiprocessing.get_context("spawn")
    start, results = context.Barrier(2), context.Queue()
    processes = [context.Process(target=build, args=(files["sft"], home, start, results)) for _ in range(2)]
    for process in processes:
        process.start()
    found = [results.get(timeout=120) for _ in processes]
    for process in processes:
        process.join()
    assert len(set(found)) == 1 and found[0][0] == 24
    assert len(list(home.iterdir())) == 1


def test_leftovers_and_unused_caches_are_removed(tokenizer: ChatTokenizer, files: dict[str, Path], home: Path) -> None:
    for name, days in {"a.tmp-1": 2, "b.tmp-2": 0, "old": 40, "recent": 20}.items():
        (home / name).mkdir(parents=True)
        os.utime(home / name, (time.time() - days * 86_400,) * 2)
    open_cache(files["sft"], "sft", tokenizer, home)
    names = {path.name for path in home.iterdir()}
    assert {"b.tmp-2", "recent"} < names and len(names) == 3


def test_use_keeps_a_cache_from_being_removed(tokenizer: ChatTokenizer, files: dict[str, Path], home: Path) -> None:
    open_cache(files["sft"], "sft", tokenizer, home)
    (folder,) = home.iterdir()
    os.utime(folder, (time.time() - 40 * 86_400,) * 2)
    open_cache(files["sft"], "sft", tokenizer, home)
    open_cache(files["reason"], "sft", tokenizer, home)
    assert folder.is_dir()
