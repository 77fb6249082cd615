"""Downloads and statistics in the background, with real processes and a hub on this machine."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from fake_hub import FakeHub

from minimind_platform import JobState, Platform, Settings, previews
from minimind_platform.errors import NotFoundError, PathError, PlatformError, SettingsError

ROWS = b"".join(b'{"chosen": [%d], "rejected": []}\n' % number for number in range(200_000))


@pytest.fixture
def home(tmp_path, monkeypatch):
    for name in ("dataset", "out", "mlruns"):
        (tmp_path / name).mkdir()
    root = Path(__file__).parents[2]
    monkeypatch.setenv("PYTHONPATH", f"{root}:{root / 'platform'}")
    return tmp_path


def test_a_download_is_cancelled_resumed_by_another_platform_and_then_known(home, monkeypatch, wait_until):
    with FakeHub({"jingyaogong/minimind_dataset": {"dpo.jsonl": ROWS}}) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        hub.hold_after = 3 << 20
        platform = Platform(Settings(home=home))
        job = platform.hub_fetch("dpo")
        entry = {entry.name: entry for entry in platform.hub_entries()}["dpo"]
        assert entry.job.id == job.id
        wait_until(lambda: {e.name: e for e in platform.hub_entries()}["dpo"].part_bytes, what="the first bytes")
        platform.cancel_job(job.id)
        wait_until(lambda: platform.job(job.id).state is JobState.CANCELLED, what="the end of the download")
        begun = {e.name: e for e in platform.hub_entries()}["dpo"].part_bytes
        assert begun > 0
        hub.released.set()
        other = Platform(Settings(home=home))
        other.hub_fetch("dpo")
        wait_until(lambda: other.job(job.id).state is JobState.DONE, what="the download")
        assert hub.ranges()[-1] == f"bytes={begun}-"
    assert (home / "dataset/dpo.jsonl").read_bytes() == ROWS
    entry = {entry.name: entry for entry in other.hub_entries()}["dpo"]
    assert (entry.found, entry.part_bytes) == (True, 0)
    assert other.job(job.id).done == other.job(job.id).total == len(ROWS)
    assert [dataset.path for dataset in other.datasets()] == ["dataset/dpo.jsonl"]


def test_a_failed_download_says_why_and_can_be_tried_again(home, monkeypatch, wait_until):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    platform = Platform(Settings(home=home))
    job = platform.hub_fetch("dpo")
    wait_until(lambda: platform.job(job.id).state is JobState.FAILED, what="the failure")
    assert "cannot be reached" in platform.job(job.id).error
    with FakeHub({"jingyaogong/minimind_dataset": {"dpo.jsonl": ROWS}}) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        assert platform.hub_fetch("dpo").id == job.id
        wait_until(lambda: platform.job(job.id).state is JobState.DONE, what="the download")
        assert platform.hub_fetch("dpo").state is JobState.DONE
        (home / "dataset/dpo.jsonl").unlink()
        platform.hub_fetch("dpo")
        wait_until(lambda: (home / "dataset/dpo.jsonl").exists(), what="the second download")


def test_names_and_settings_are_checked_before_anything_runs(home):
    platform = Platform(Settings(home=home))
    (home / "dataset" / "p.jsonl").write_text(json.dumps({"text": "x"}) + "\n")
    with pytest.raises(NotFoundError) as caught:
        platform.hub_fetch("pretrain_mini")
    assert "pretrain_t2t_mini" in caught.value.hint
    with pytest.raises(PathError):
        platform.data_stats("/etc/passwd")
    with pytest.raises(SettingsError, match="no training type 'nope'"):
        platform.data_stats("dataset/p.jsonl", type="nope")
    with pytest.raises(SettingsError, match="max_seq_len"):
        platform.data_preview("dataset/p.jsonl", max_seq_len=5)
    assert platform.jobs() == []


def test_statistics_are_worked_out_once_for_a_state_of_the_file(home, wait_until, monkeypatch):
    data = home / "dataset" / "s.jsonl"
    turns = [{"role": "user", "content": "Hi?"}, {"role": "assistant", "content": "你好！" * 20}]
    data.write_text((json.dumps({"conversations": turns}) + "\n") * 3 + '{"conversations": 3}\n')
    platform = Platform(Settings(home=home))
    job = platform.data_stats("dataset/s.jsonl", "sft", 32)
    wait_until(lambda: platform.job(job.id).state is not JobState.RUNNING, 120, "the end of the statistics")
    done = Platform(Settings(home=home)).data_stats("dataset/s.jsonl", "sft", 32)
    assert (done.id, done.state) == (job.id, JobState.DONE)
    found = done.result
    assert (found["rows"], found["bad_rows"], found["truncated_rows"], found["duplicate_rows"]) == (3, 1, 3, 2)
    assert "line 4" in found["errors"][0]["message"]
    seen = platform.data_preview("dataset/s.jsonl", "sft", 32, start=2, rows=5)
    assert [row["where"] for row in seen["rows"]] == ["line 3", "line 4"]
    assert [span["loss"] for span in seen["rows"][0]["spans"]][:2] == [False, True]
    assert seen["rows"][0]["spans"][-1]["cut"]
    assert seen["rows"][1]["error"]
    monkeypatch.setattr(previews, "COMMAND", ("/no/such/program",))  # all of it was read already
    assert platform.data_preview("dataset/s.jsonl", "sft", 32, start=3, rows=5)["rows"] == seen["rows"][1:]
    assert platform.data_preview("dataset/s.jsonl", "sft", 32, start=9, rows=5)["rows"] == []
    with data.open("a") as file:
        file.write("\n")
    assert platform.data_stats("dataset/s.jsonl", "sft", 32).id != job.id


def test_statistics_of_what_cannot_be_read_say_why(home, wait_until):
    (home / "dataset" / "odd.jsonl").write_text("no JSON at all\n")
    platform = Platform(Settings(home=home))
    job = platform.data_stats("dataset/odd.jsonl")
    wait_until(lambda: platform.job(job.id).state is JobState.FAILED, 120, "the end of the statistics")
    assert "odd.jsonl" in platform.job(job.id).error
    with pytest.raises(PlatformError, match=r"odd\.jsonl"):
        platform.data_preview("dataset/odd.jsonl")
