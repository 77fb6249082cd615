"""Compressed files, Parquet and folders: read as plain JSONL is, and each damage told with its file and a way out."""

import gzip
import json
import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet

from trainer import streams
from trainer.errors import DataError
from trainer.rows import RowReader, check_rows, detect_format, detect_formats, read_rows
from trainer.sources import Place, open_data

CHAT = {"conversations": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]}
TEXTS = [{"text": f"number {i} 数字"} for i in range(300)]


def zstd(raw: bytes) -> bytes:
    return pyarrow.Codec("zstd").compress(raw, asbytes=True)


def write(path: Path, rows: list[dict[str, Any]], **options: Any) -> Path:
    path.parent.mkdir(exist_ok=True)
    if path.suffix == ".parquet":
        parquet.write_table(pyarrow.Table.from_pylist(rows), path, **options)
    else:
        raw = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
        path.write_bytes({".gz": gzip.compress, ".zst": zstd}.get(path.suffix, bytes)(raw))
    return path


def fault(path: Path, name: str = "pretrain") -> str:
    with pytest.raises(DataError) as caught:
        list(read_rows(path, name))
    return f"{caught.value.message} {caught.value.hint}"


NAMES = ("a.jsonl", "a.jsonl.gz", "a.jsonl.zst", "a.parquet")


@pytest.mark.parametrize("name", NAMES)
def test_every_kind_of_file_has_the_same_rows(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, TEXTS)
    assert list(read_rows(path, "pretrain")) == [(Place(0, n), row) for n, row in enumerate(TEXTS, 1)]
    done = [row.done for row in RowReader(path, "pretrain").rows()]
    assert done == sorted(done) and done[-1] == path.stat().st_size
    assert detect_format(path) == "pretrain"


@pytest.mark.parametrize("name", NAMES)
def test_conversations_with_tools_come_out_as_they_went_in(tmp_path: Path, name: str) -> None:
    call = {"role": "assistant", "content": "", "tool_calls": '[{"name": "f", "arguments": {"x": 1}}]'}
    rows = [CHAT, {"conversations": [CHAT["conversations"][0], call]}]
    path = write(tmp_path / name, rows)
    assert [row for _, row in read_rows(path, "sft")] == rows
    assert detect_format(path) == "sft"


def test_objects_in_parquet_lose_the_keys_that_other_rows_brought(tmp_path: Path) -> None:
    calls = [[{"name": "f", "arguments": {"x": 1}}], [{"name": "g", "arguments": {"y": 2}}]]
    rows = [{"conversations": [{"role": "assistant", "content": None, "tool_calls": call}]} for call in calls]
    assert [row for _, row in read_rows(write(tmp_path / "a.parquet", rows), "sft")] == rows


def test_parquet_in_many_groups_keeps_its_order(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", TEXTS, row_group_size=7)
    assert [row for _, row in read_rows(path, "pretrain")] == TEXTS


def test_a_folder_is_one_data_set_in_the_order_of_names(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    for index, name in enumerate(("b.jsonl.gz", "a.parquet", "c.jsonl", "d.jsonl.zst")):
        write(folder / name, TEXTS[index * 2 : index * 2 + 2])
    for name in ("README.md", ".hidden.jsonl", "_meta.jsonl", "x.json"):
        (folder / name).write_text("none of it")
    (folder / "more").mkdir()
    data = open_data(folder)
    assert [file.name for file in data.files] == ["a.parquet", "b.jsonl.gz", "c.jsonl", "d.jsonl.zst"]
    found = list(read_rows(folder, "pretrain"))
    assert [row for _, row in found] == [*TEXTS[2:4], *TEXTS[:2], *TEXTS[4:8]]
    assert [data.where(place) for place, _ in found][1:4] == [
        "a.parquet row 2",
        "b.jsonl.gz line 1",
        "b.jsonl.gz line 2",
    ]
    assert data.located(Place(2, 5)) == f"{folder}/c.jsonl line 5"
    assert data.places([Place(0, 1), Place(0, 2), Place(2, 4)]) == "a.parquet row 1, 2; c.jsonl line 4"
    done = [row.done for row in RowReader(folder, "pretrain").rows()]
    assert done == sorted(done) and done[-1] == data.bytes
    check = check_rows(folder, "pretrain")
    assert [(file.name, file.rows) for file in check.files][:2] == [("a.parquet", 2), ("b.jsonl.gz", 2)]


def test_the_hash_of_a_folder_is_of_names_and_bytes(tmp_path: Path) -> None:
    def sha256(change: Callable[[Path], object] = lambda _: None) -> str:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        for name in ("a.jsonl", "b.jsonl"):
            write(folder / name, TEXTS[:2])
        change(folder)
        return open_data(folder).sha256()

    plain = sha256()
    assert plain == sha256() == sha256(lambda folder: (folder / "notes.txt").write_text("x"))
    changes = [
        lambda folder: (folder / "a.jsonl").rename(folder / "c.jsonl"),
        lambda folder: write(folder / "c.jsonl", TEXTS[:1]),
        lambda folder: write(folder / "b.jsonl", TEXTS[:1]),
        lambda folder: (folder / "b.jsonl").unlink(),
    ]
    assert len({plain, *map(sha256, changes)}) == 5


def test_faults_in_a_folder_name_file_and_line(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", TEXTS[:2])
    write(tmp_path / "b.jsonl", [*TEXTS[:2], CHAT])
    assert fault(tmp_path).startswith(f"{tmp_path}/b.jsonl line 3: no text (keys found: conversations")
    write(tmp_path / "a.parquet", [*TEXTS[:2], {"text": None}])
    assert fault(tmp_path).startswith(f"{tmp_path}/a.parquet row 3: text is null, not a string.")


def test_a_folder_without_data_says_what_is_in_it(tmp_path: Path) -> None:
    ends = "Data files end in .jsonl, .jsonl.gz, .jsonl.zst or .parquet"
    assert fault(tmp_path) == f"The folder {tmp_path} has no data files. {ends}."
    (tmp_path / "a.csv").write_text("x")
    assert fault(tmp_path).endswith(f"{ends}; found a.csv.")
    write(tmp_path / "set" / "a.jsonl", TEXTS)
    assert fault(tmp_path).endswith("Choose a folder in it, such as set.")
    (tmp_path / "set" / "b.jsonl").touch()
    assert f"{tmp_path}/set/b.jsonl is empty (0 bytes)." in fault(tmp_path / "set")


def test_files_of_several_formats_in_a_folder_are_no_data_set(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", TEXTS)
    write(tmp_path / "b.parquet", [CHAT])
    assert detect_format(tmp_path) == ""
    assert detect_formats(open_data(tmp_path)) == {"a.jsonl": "pretrain", "b.parquet": "sft"}
    with pytest.raises(DataError, match=r"b\.parquet row 1: no text .*"):
        RowReader(tmp_path, "pretrain").check_begins()


@pytest.mark.parametrize("name", NAMES[1:])
@pytest.mark.parametrize("damage", ["cut", "changed", "other"])
def test_damaged_files_are_told_with_a_way_out(tmp_path: Path, name: str, damage: str) -> None:
    rows = [{"text": os.urandom(50).hex()} for _ in range(2000)]
    path = write(tmp_path / name, rows)
    raw = path.read_bytes()
    middle = len(raw) // 2
    broken = {"cut": raw[:middle], "changed": raw[:10] + b"\xff" * 100 + raw[110:], "other": b"{}\n" * 9}
    path.write_bytes(broken[damage])
    text = fault(path)
    assert text.startswith(f"{path} is damaged or not what its name says: reading stopped after ")
    assert text.endswith("). Copy, download or export it again.")
    assert len(text) < 450
    assert check_rows(path, "pretrain").errors


def test_checksums_of_parquet_are_looked_at(tmp_path: Path) -> None:
    rows = [{"text": os.urandom(50).hex()} for _ in range(200)]
    path = write(tmp_path / "a.parquet", rows, write_page_checksum=True, compression="none", use_dictionary=False)
    raw = path.read_bytes()
    path.write_bytes(raw.replace(rows[100]["text"].encode(), b"0" * 100))
    assert "is damaged" in fault(path)


def test_parquet_without_our_columns_or_with_other_types_is_told(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", [{"image": b"x", "label": 1}])
    assert "none of the columns that hold training data (columns found: image, label)" in fault(path)
    assert "row 1: text is number 5, not a string" in fault(write(tmp_path / "b.parquet", [{"text": 5}]))
    assert "row 1: text is binary data" in fault(write(tmp_path / "c.parquet", [{"text": b"x"}]))
    assert "conversations is string" in fault(write(tmp_path / "d.parquet", [{"conversations": "x"}]), "sft")
    empty = pyarrow.table({"text": pyarrow.array([], pyarrow.string())})
    parquet.write_table(empty, tmp_path / "e.parquet")
    assert "has no rows" in fault(tmp_path / "e.parquet")


def test_bad_utf_8_in_parquet_is_told_with_row_and_byte(tmp_path: Path) -> None:
    raw = pyarrow.array([b"fine", b"ab\xff"], pyarrow.binary())
    column = pyarrow.StringArray.from_buffers(2, raw.buffers()[1], raw.buffers()[2])
    parquet.write_table(pyarrow.table({"text": column}), tmp_path / "a.parquet")
    assert "a.parquet row 2: not UTF-8 (byte 3 is 0xff)." in fault(tmp_path / "a.parquet")


def test_columns_without_use_are_not_even_read(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", [{"text": "a", "id": 1, "source": "web"}])
    reader = RowReader(path, "pretrain")
    assert [row.value for row in reader.rows()] == [{"text": "a"}]
    assert check_rows(path, "pretrain").notices == ["a.parquet: keys id, source are ignored."]


@pytest.mark.parametrize("name", NAMES)
def test_a_row_of_ten_megabytes_is_refused_with_line_and_limit(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, [{"text": "a"}, {"text": "x" * 10 * 2**20}, {"text": "b"}])
    assert "2: longer than 8 MB. Split the text into several rows." in fault(path)
    check = check_rows(path, "pretrain")
    assert (check.rows, check.bad) == (2, 1)


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.jsonl.zst", "a.parquet"])
def test_a_small_file_that_unpacks_to_much_takes_little_memory(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, [{"text": "x" * 100 * 2**20}], compression="zstd")
    assert path.stat().st_size < 2**20
    tracemalloc.start()
    before = pyarrow.total_allocated_bytes()
    assert "1: longer than 8 MB" in fault(path)
    assert tracemalloc.get_traced_memory()[1] < 40 * 2**20
    assert pyarrow.total_allocated_bytes() - before < 40 * 2**20
    tracemalloc.stop()


def test_a_large_row_group_is_read_page_by_page(tmp_path: Path) -> None:
    turns = [[{"role": "user", "content": os.urandom(20_000).hex()}] for _ in range(1000)]
    rows = [{"conversations": turn} for turn in turns]
    path = write(tmp_path / "a.parquet", rows, write_batch_size=10, use_dictionary=False)
    assert parquet.read_metadata(path).num_row_groups == 1 and path.stat().st_size > 20 * 2**20
    before, most = pyarrow.total_allocated_bytes(), 0
    for _ in read_rows(path, "sft"):
        most = max(most, pyarrow.total_allocated_bytes() - before)
    assert most < 8 * 2**20


def test_one_notice_a_file_tells_the_keys_that_are_ignored(tmp_path: Path) -> None:
    turns = [{"role": "user", "content": "Hi", "weight": 0}, {"role": "assistant", "content": "Hello"}]
    path = write(tmp_path / "a.jsonl", [{"messages": turns, "id": i} for i in range(5)])
    assert check_rows(path, "sft").notices == ["a.jsonl: keys id, messages.weight are ignored."]
    for name in ("b.jsonl", "c.jsonl"):
        write(tmp_path / name, [CHAT, CHAT | {"source": 1}])
    assert check_rows(tmp_path, "sft").notices == [
        "a.jsonl: keys id, messages.weight are ignored.",
        "b.jsonl and 1 more file: key source is ignored.",
    ]
    write(tmp_path / "d.jsonl", [CHAT | {f"key{i}": 1} for i in range(1000)])
    reader = RowReader(tmp_path / "d.jsonl", "sft")
    assert len(list(reader.rows())) == 1000
    assert len(reader.ignored[0]) == 20


@pytest.mark.parametrize("name", NAMES)
def test_messages_and_sharegpt_turns_become_conversations(tmp_path: Path, name: str) -> None:
    share = [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]
    for key, turns in (("messages", CHAT["conversations"]), ("conversations", share), ("messages", share)):
        path = write(tmp_path / name, [{key: turns}])
        assert [row for _, row in read_rows(path, "sft")] == [CHAT]
        assert detect_format(path) == "sft"
        assert check_rows(path, "sft").notices == []


def test_sharegpt_calls_and_unknown_speakers(tmp_path: Path) -> None:
    call = '[{"name": "f", "arguments": {}}]'
    turns = [
        {"from": "system", "value": "S"},
        {"from": "human", "value": "Hi"},
        {"from": "function_call", "value": call},
        {"from": "observation", "value": "3"},
    ]
    (_, row), *_ = read_rows(write(tmp_path / "a.jsonl", [{"conversations": turns}]), "sft")
    assert [message["role"] for message in row["conversations"]] == ["system", "user", "assistant", "tool"]
    assert row["conversations"][2] == {"role": "assistant", "content": "", "tool_calls": call}
    path = write(tmp_path / "b.jsonl", [{"conversations": [{"from": "narrator", "value": "x"}]}])
    assert "the role of message 1 of conversations is 'narrator'. Use one of" in fault(path, "sft")


def test_conversations_win_over_messages(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [CHAT | {"messages": [{"role": "user", "content": "no"}]}])
    assert [row["conversations"] for _, row in read_rows(path, "sft")] == [CHAT["conversations"]]
    assert check_rows(path, "sft").notices == ["a.jsonl: key messages is ignored."]


@pytest.mark.parametrize("tools", ['[{"name": "f"}]', [{"name": "f"}], ['{"name": "f"}'], {"name": "f"}])
def test_tools_of_a_row_may_be_texts_or_objects(tmp_path: Path, tools: Any) -> None:
    from trainer.chat import conversation

    (_, row), *_ = read_rows(write(tmp_path / "a.jsonl", [CHAT | {"tools": tools}]), "sft")
    assert conversation(row)[1] == [{"name": "f"}]


def test_tools_of_a_row_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    assert "tools is text that is not valid JSON" in fault(write(tmp_path / "a.jsonl", [CHAT | {"tools": "{"}]), "sft")
    assert "tools is not a list of objects" in fault(write(tmp_path / "a.jsonl", [CHAT | {"tools": [1]}]), "sft")


def test_the_limit_holds_for_batches_of_parquet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "LINE_LIMIT", 1000)
    path = write(tmp_path / "a.parquet", [{"text": "数" * 300}, {"text": "数" * 400}, {"text": "x" * 999}])
    check = check_rows(path, "pretrain")
    assert (check.rows, [error.message for error in check.errors]) == (2, [f"{path} row 2: longer than 0 MB."])
