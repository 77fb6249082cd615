"""The spool keeps what was recorded, through crashes."""

import json
from pathlib import Path

from trainer.spool import Spool, read_records


def test_records_come_back_with_their_offsets(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    for step in (1, 2, 3):
        spool.metrics(step, {"train/loss": 1.0 / step})
    spool.close()
    found = list(read_records(spool.path))
    assert [r["step"] for r, _ in found] == [1, 2, 3]
    assert found[-1][1] == spool.path.stat().st_size
    assert [r["step"] for r, _ in read_records(spool.path, found[0][1])] == [2, 3]


def test_half_a_line_of_a_killed_process_is_cut_off(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.metrics(1, {"train/loss": 1.0})
    spool.close()
    with spool.path.open("ab") as file:
        file.write(b'{"kind": "metrics", "t": 1, "st')
    assert [r["step"] for r, _ in read_records(spool.path)] == [1], "half a line is not complete yet"
    again = Spool(tmp_path)
    again.metrics(2, {"train/loss": 0.5})
    again.close()
    assert [json.loads(line)["step"] for line in spool.path.read_text().splitlines()] == [1, 2]


def test_a_step_is_recorded_once_over_attempts(tmp_path: Path) -> None:
    first = Spool(tmp_path)
    first.metrics(5, {"train/loss": 1.0})
    first.metrics(5, {"eval/loss": 2.0})
    first.close()
    second = Spool(tmp_path)
    second.metrics(4, {"train/loss": 9.0})
    second.metrics(5, {"train/loss": 9.0})
    second.metrics(5, {"eval/loss": 9.0})
    second.metrics(6, {"train/loss": 0.5})
    second.close()
    assert [(r["step"], r["values"]) for r, _ in read_records(second.path)] == [
        (5, {"train/loss": 1.0}),
        (5, {"eval/loss": 2.0}),
        (6, {"train/loss": 0.5}),
    ]


def test_a_damaged_line_costs_one_record(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.metrics(1, {"train/loss": 1.0})
    spool._file.write(b"\xff\x00 not json\n")
    spool.metrics(2, {"train/loss": 1.0})
    spool.close()
    assert [r["step"] for r, _ in read_records(spool.path)] == [1, 2]
