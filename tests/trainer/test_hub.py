"""Fetching from a hub: a real server on this machine, asked by real processes."""

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from fake_hub import FakeHub

from trainer.hub_files import ITEMS, similar

ROOT = Path(__file__).parents[2]
ROWS = b"".join(b'{"chosen": [%d], "rejected": []}\n' % number for number in range(200_000))
"""Some MB, so that a connection can break in the middle."""
TOKENIZER = b'{"model": {}}' + b" " * 2_000
REPOS = {
    "jingyaogong/minimind_dataset": {"dpo.jsonl": ROWS, "README.md": b"# Data", "lora_identity.jsonl": b'{"a": 1}\n'},
    "jingyaogong/minimind-3": {
        "config.json": b'{"model_type": "qwen3"}',
        "model.safetensors": b"\0" * 5_000,
        "pytorch_model.bin": b"pickled",
        "modeling_minimind.py": b"raise SystemExit",
        "../escaped.safetensors": b"\1" * 3_000,
        "deep/other.safetensors": b"\2" * 3_000,
        "tokenizer.json": TOKENIZER,
        "tokenizer_config.json": b"{}",
        "images/logo.png": b"png",
    },
}
Command = Callable[..., list[str]]


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    with FakeHub({name: dict(files) for name, files in REPOS.items()}) as hub:
        yield hub


def environment(hub: FakeHub | None, **more: str) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "MINIMIND_"))}
    return kept | ({"HF_ENDPOINT": hub.url} if hub else {}) | more


def command(home: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "trainer.data_cli", "fetch", "--home", str(home), *words]


def run(hub: FakeHub | None, home: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(home, *words), cwd=ROOT, env=environment(hub, **more), capture_output=True, text=True, timeout=60
    )


def refused(hub: FakeHub | None, home: Path, *words: str, **more: str) -> str:
    """What it says when it cannot do it: one or two sentences."""
    done = run(hub, home, *words, **more)
    assert done.returncode == 2, done
    assert "Traceback" not in done.stderr
    return done.stderr.splitlines()[-1]


def wait_for_part(folder: Path) -> Path:
    """The half file, once something is in it."""
    give_up = time.monotonic() + 30
    while time.monotonic() < give_up:
        for part in folder.glob(".*.part"):
            if part.stat().st_size:
                return part
        time.sleep(0.02)
    raise AssertionError("nothing was begun")


def test_a_data_set_lands_verified_and_is_not_brought_twice(hub: FakeHub, tmp_path: Path) -> None:
    done = run(hub, tmp_path, "dpo")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "dataset/dpo.jsonl").read_bytes() == ROWS
    assert f"SHA-256 {hashlib.sha256(ROWS).hexdigest()[:16]}… is right" in done.stdout
    assert "--data_path dataset/dpo.jsonl" in done.stdout
    assert [path.name for path in (tmp_path / "dataset").iterdir()] == ["dpo.jsonl"]
    again = run(hub, tmp_path, "dpo")
    assert "was there already" in again.stdout
    assert hub.ranges() == [""]


def test_a_small_file_is_verified_by_its_git_checksum(hub: FakeHub, tmp_path: Path) -> None:
    done = run(hub, tmp_path, "lora_identity", "--json")
    (item,) = json.loads(done.stdout)
    assert item["files"][0]["sha256"] == hashlib.sha256(b'{"a": 1}\n').hexdigest()
    assert json.loads(done.stderr.splitlines()[-1]) == {"done": 9, "total": 9}


def test_of_a_model_only_known_kinds_of_files_come_and_only_into_its_folder(hub: FakeHub, tmp_path: Path) -> None:
    done = run(hub, tmp_path, "minimind-3", HF_TOKEN="hf_secret")
    assert done.returncode == 0, done.stderr
    files = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    names = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", ".fetched.json")
    assert files == {f"out/hub/minimind-3/{name}" for name in names}
    assert not any("authorization" in headers for _, _, headers in hub.requests)
    listed = {item["name"]: item for item in json.loads(run(None, tmp_path, "--json").stdout)}
    assert listed["minimind-3"]["found"]
    assert not listed["minimind-3-tokenizer"]["found"]


def test_weights_without_a_tokenizer_bring_theirs(hub: FakeHub, tmp_path: Path) -> None:
    hub.repos["jingyaogong/minimind-3-pytorch"] = {"pretrain_768.pth": b"\3" * 4_000, "full_sft_768.pth": b"other"}
    done = run(hub, tmp_path, "minimind-3-pretrain-pth")
    assert done.returncode == 0, done.stderr
    assert "--from_weight out/hub/minimind-3-pytorch/pretrain_768.pth" in done.stdout
    assert "--tokenizer_path out/hub/minimind-3-tokenizer" in done.stdout
    assert (tmp_path / "out/hub/minimind-3-tokenizer/tokenizer.json").read_bytes() == TOKENIZER
    assert ITEMS["minimind-3-pretrain-pth"].found(tmp_path)
    assert not ITEMS["minimind-3-sft-pth"].found(tmp_path)


def test_a_broken_connection_goes_on_where_it_broke(hub: FakeHub, tmp_path: Path) -> None:
    hub.cut_after = 3 << 20
    done = run(hub, tmp_path, "dpo")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "dataset/dpo.jsonl").read_bytes() == ROWS
    first, second = hub.ranges()
    assert first == ""
    assert int(second.removeprefix("bytes=").removesuffix("-")) >= 1 << 20


def test_a_killed_fetch_is_gone_on_with_by_the_next(hub: FakeHub, tmp_path: Path) -> None:
    hub.hold_after = 3 << 20
    process = subprocess.Popen(command(tmp_path, "dpo"), cwd=ROOT, env=environment(hub), stderr=subprocess.DEVNULL)
    part = wait_for_part(tmp_path / "dataset")
    assert "by another process" in refused(hub, tmp_path, "dpo")
    process.kill()
    process.wait()
    begun = part.stat().st_size
    listed = {item["name"]: item for item in json.loads(run(None, tmp_path, "--json").stdout)}
    assert listed["dpo"]["part_bytes"] == begun > 0
    hub.released.set()
    assert run(hub, tmp_path, "dpo").returncode == 0
    assert hub.ranges()[-1] == f"bytes={begun}-"
    assert (tmp_path / "dataset/dpo.jsonl").read_bytes() == ROWS
    assert not part.exists()


def test_a_part_of_an_older_version_is_not_gone_on_with(hub: FakeHub, tmp_path: Path) -> None:
    (tmp_path / "dataset").mkdir()
    old = tmp_path / "dataset/.dpo.jsonl.0123456789ab.part"
    old.write_bytes(b"old rows")
    assert run(hub, tmp_path, "dpo").returncode == 0
    assert hub.ranges() == [""]
    assert not old.exists()


def test_a_wrong_checksum_leaves_nothing(hub: FakeHub, tmp_path: Path) -> None:
    hub.wrong["dpo.jsonl"] = "0" * 64
    assert "wrong checksum" in refused(hub, tmp_path, "dpo")
    assert list((tmp_path / "dataset").iterdir()) == []


def test_another_file_of_that_name_is_kept_unless_told_otherwise(hub: FakeHub, tmp_path: Path) -> None:
    (tmp_path / "dataset").mkdir()
    mine = tmp_path / "dataset/dpo.jsonl"
    mine.write_text("mine")
    assert "--replace" in refused(hub, tmp_path, "dpo")
    assert mine.read_text() == "mine"
    assert run(hub, tmp_path, "dpo", "--replace").returncode == 0
    assert mine.read_bytes() == ROWS


def test_what_does_not_fit_on_the_disk_is_not_begun(hub: FakeHub, tmp_path: Path) -> None:
    hub.sizes["dpo.jsonl"] = 10**17
    assert "GB are free" in refused(hub, tmp_path, "dpo")
    assert hub.ranges() == []


def test_what_is_gone_from_the_hub_is_told(hub: FakeHub, tmp_path: Path) -> None:
    assert "jingyaogong/MiniMind2 is not on http" in refused(hub, tmp_path, "minimind2")
    assert "has no rlaif.jsonl any more" in refused(hub, tmp_path, "rlaif")
    del hub.repos["jingyaogong/minimind-3"]["model.safetensors"]
    assert "no model.safetensors" in refused(hub, tmp_path, "minimind-3")


def test_no_network_offline_and_no_hub_at_all_are_told_apart(hub: FakeHub, tmp_path: Path) -> None:
    away = refused(None, tmp_path, "dpo", HF_ENDPOINT="http://127.0.0.1:9")
    assert "cannot be reached" in away
    assert "HF_ENDPOINT is http://127.0.0.1:9" in away
    assert "HF_HUB_OFFLINE is set" in refused(hub, tmp_path, "dpo", HF_HUB_OFFLINE="1")
    assert hub.requests == []
    assert "answers with 404" in refused(hub, tmp_path, "dpo", HF_ENDPOINT=f"{hub.url}/nowhere")


def test_a_name_that_is_not_known_names_others(tmp_path: Path) -> None:
    told = refused(None, tmp_path, "pretrain_mini")
    assert "Did you mean pretrain_t2t_mini" in told
    assert similar("full_sft_768.pth")[0] == "minimind-3-sft-pth"
    assert similar("sft_t2t.jsonl")[0] == "sft_t2t"
    assert "`minimind data fetch` lists" in refused(None, tmp_path, "zzzzzz")


def test_the_list_asks_nobody_and_shows_everything(tmp_path: Path) -> None:
    done = run(None, tmp_path, HF_ENDPOINT="http://127.0.0.1:9")
    assert done.returncode == 0, done.stderr
    assert all(item.name in done.stdout and item.about in done.stdout for item in ITEMS.values())


def test_the_library_itself_takes_the_server_of_these_tests_for_a_hub(hub: FakeHub, tmp_path: Path) -> None:
    code = (
        "import sys; from huggingface_hub import hf_hub_download as get\n"
        "for repo, name, kind in (('jingyaogong/minimind_dataset', 'dpo.jsonl', 'dataset'),"
        " ('jingyaogong/minimind-3', 'config.json', 'model')):\n"
        "    print(get(repo, name, repo_type=kind, local_dir=sys.argv[1], token=False))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], env=environment(hub, HF_HOME=str(tmp_path)), text=True,
        capture_output=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "dpo.jsonl").read_bytes() == ROWS
    assert (tmp_path / "config.json").read_bytes() == REPOS["jingyaogong/minimind-3"]["config.json"]
