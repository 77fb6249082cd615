"""Data sets as they are listed, sampled and checked, on a real home folder and without any server."""

import gzip
import json

import pyarrow
import pytest
from checked import ROWS, TINY, problems
from pyarrow import parquet

from minimind_platform import Platform, datasets, row_samples
from trainer.configs import TRAINING_TYPES


def test_a_large_file_is_sampled(platform):
    path = platform.settings.data_dir / "large.jsonl"
    row = json.dumps({"text": "hello world " * 50}) + "\n"
    path.write_text(row * 20_000)
    preflight = platform.check("pretrain", TINY | {"data_path": "large.jsonl"}).preflight
    assert preflight.rows == 20_000
    assert preflight.tokens > 20_000 * 50


def test_listings(platform):
    (platform.settings.out_dir).mkdir()
    (platform.settings.out_dir / "pretrain_512_moe.pth").write_bytes(b"x")
    (platform.settings.out_dir / "odd.pth").write_bytes(b"x")
    assert [(d.name, d.rows, d.format) for d in platform.datasets()][2:] == [
        ("p.jsonl", ROWS, "pretrain"),
        ("s.jsonl", ROWS, "sft"),
    ]
    weights = {w.name: (w.hidden_size, w.moe) for w in platform.weight_files()}
    assert weights == {"pretrain_512_moe.pth": (512, True), "odd.pth": (None, False)}
    assert platform.devices()[:2] == ["auto", "cpu"]
    assert set(platform.training_types()) == set(TRAINING_TYPES)
    assert "tiny" in platform.presets()


def write_kinds(folder):
    """The same 300 rows as files of every kind."""
    raw = (folder / "p.jsonl").read_bytes()
    (folder / "p.jsonl.gz").write_bytes(gzip.compress(raw))
    (folder / "p.jsonl.zst").write_bytes(pyarrow.Codec("zstd").compress(raw, asbytes=True))
    parquet.write_table(
        pyarrow.Table.from_pylist([json.loads(line) for line in raw.splitlines()]), folder / "p.parquet"
    )


def test_every_kind_of_file_is_listed_and_estimated(platform):
    data = platform.settings.data_dir
    write_kinds(data)
    listed = {d.name: (d.rows, d.format, d.files) for d in platform.datasets()}
    tokens = set()
    for name in ("p.jsonl", "p.jsonl.gz", "p.jsonl.zst", "p.parquet"):
        assert listed[name] == (ROWS, "pretrain", 0)
        check = platform.check("pretrain", TINY | {"data_path": name})
        assert (check.problems, check.preflight.rows) == ([], ROWS)
        tokens.add(check.preflight.tokens)
    assert len(tokens) == 1


def test_folders_of_one_format_are_data_sets(platform):
    data = platform.settings.data_dir
    (data / "set").mkdir()
    (data / "p.jsonl").rename(data / "set" / "p.jsonl")
    write_kinds(data / "set")
    (data / "mixed").mkdir()
    for name in ("s.jsonl", "set/p.jsonl"):
        (data / "mixed" / name.removeprefix("set/")).write_bytes((data / name).read_bytes())
    listed = {d.path: (d.name, d.rows, d.format, d.files) for d in platform.datasets()}
    assert listed["dataset/set"] == ("set/", 4 * ROWS, "pretrain", 4)
    assert "dataset/mixed" not in listed and "dataset/mixed/s.jsonl" in listed
    check = platform.check("pretrain", TINY | {"data_path": "dataset/set"})
    assert (check.problems, check.preflight.rows) == ([], 4 * ROWS)
    wrong = problems(platform, "pretrain", {"data_path": "dataset/mixed"})["data_path"]
    assert wrong.code == "data_unusable"
    assert "dataset/mixed/s.jsonl line 1: no text" in wrong.message


def test_a_damaged_file_is_listed_without_rows_and_told_at_its_field(platform):
    data = platform.settings.data_dir
    for name in ("a.jsonl.gz", "b.jsonl.zst", "c.parquet"):
        (data / name).write_bytes(b"no such thing")
        assert (
            "dataset/" + name + " is damaged"
            in problems(platform, "pretrain", {"data_path": name})["data_path"].message
        )
    listed = {d.name: (d.rows, d.format) for d in platform.datasets()}
    assert {listed[name] for name in ("a.jsonl.gz", "b.jsonl.zst", "c.parquet")} == {(None, "")}


def test_large_data_is_sampled_whatever_its_kind(platform, monkeypatch):
    data = platform.settings.data_dir
    write_kinds(data)
    exact = platform.check("pretrain", TINY | {"data_path": "p.jsonl"}).preflight
    for name in ("COUNTED_BYTES", "COUNTED_PACKED", "SMALL_FILE"):
        monkeypatch.setattr(row_samples, name, 1000)
    fresh = Platform(platform.settings)
    for name in ("p.jsonl", "p.jsonl.gz", "p.jsonl.zst", "p.parquet"):
        found = fresh.check("pretrain", TINY | {"data_path": name}).preflight
        assert found.rows == pytest.approx(ROWS, rel=0.1) or name.endswith(("gz", "zst"))
        assert found.tokens / found.rows == pytest.approx(exact.tokens / exact.rows, rel=0.1)


def test_files_that_cannot_be_chosen_are_not_listed(platform, tmp_path, monkeypatch):
    data = platform.settings.data_dir
    (tmp_path / "secret.jsonl").write_text('{"text": "x"}\n')
    (data / "leak.jsonl").symlink_to(tmp_path / "secret.jsonl")
    (data / "inner.jsonl").symlink_to(data / "p.jsonl")
    found = datasets._data_sets
    monkeypatch.setattr(datasets, "_data_sets", lambda folder: [*found(folder), folder / "vanished.jsonl"])
    count = datasets.count_rows

    def counted(path):
        if path.name == "s.jsonl":
            raise PermissionError(13, "Permission denied")
        return count(path)

    monkeypatch.setattr(datasets, "count_rows", counted)
    listed = {d.name: (d.rows, d.format) for d in platform.datasets()}
    assert set(listed) == {"p.jsonl", "s.jsonl", "empty.jsonl", "broken.jsonl", "inner.jsonl"}
    assert listed["s.jsonl"] == (None, "")
    assert listed["inner.jsonl"] == (ROWS, "pretrain")
