"""What the platform in memory holds, as after some weeks of work."""

import time
from pathlib import Path
from typing import Any

from fake_data import HTML

from minimind_platform.tasks import State
from minimind_platform.views import Dataset, ModelVersion, WeightFile


def fill(fake: Any, home: Path) -> None:
    """Give a `FakePlatform` tasks in every state, models, weight files and data sets."""
    now = time.time()
    fake.data = [
        Dataset("dataset/samples/pretrain.jsonl", "pretrain.jsonl", 412_300, 1_200, "pretrain", now - 7_200),
        Dataset("dataset/samples/sft.jsonl", "sft.jsonl", 688_100, 800, "sft", now - 7_200),
        Dataset("dataset/pretrain_hq.jsonl", "pretrain_hq.jsonl", 1_640_000_000, 1_413_103, "pretrain", now - 7_200),
        Dataset("dataset/notes.jsonl", "notes.jsonl", 20_400, 112, "", now - 7_200),
    ]
    fake._add("f1", "tiny-first-try", "pretrain", State.FINISHED, now - 90_000, 400, 400, 128)
    fake._add("a2", "pretrain-512d-8l", "pretrain", State.RUNNING, now - 1_440, 12_613, 20_000, 512)
    fake._add("b3", "sft-answers-zh", "sft", State.QUEUED, now - 300, 0, 0, 512)
    fake._add("c4", HTML, "sft", State.FAILED, now - 7_200, 240, 1_200, 768)
    fake._add(
        "d5",
        "pretrain-minimind-3-long-name-of-a-careful-person",
        "pretrain",
        State.STOPPED,
        now - 40_000,
        3_100,
        9_000,
        768,
    )
    fake._add("e6", "sft-tiny", "sft", State.STOPPING, now - 600, 90, 400, 128)
    for number in range(30):
        at = now - 200_000 - number * 5_000
        fake._add(f"9{number:02d}", f"sweep-lr-{number:02d}", "pretrain", State.FINISHED, at, 400, 400, 128)
    fake.versions = [
        ModelVersion(
            "minimind-pretrain",
            7 - i,
            fake.by_name("tiny-first-try"),
            "pretrain",
            400 - 80 * i,
            2.31 + i / 9,
            2.4 + i / 8,
            5_214_000,
            now - 89_000 - 300 * i,
            ["best", "last"] if not i else [],
            1_310_000,
            "ab" * 32,
        )
        for i in range(3)
    ] + [
        ModelVersion(
            "minimind-sft",
            1,
            fake.by_name("sft-tiny"),
            "sft",
            80,
            1.92,
            None,
            5_214_000,
            now - 500,
            ["last"],
            1_310_000,
            "cd" * 32,
        )
    ]
    fake.settings.out_dir.mkdir(parents=True, exist_ok=True)
    for name, hidden, moe in (("pretrain_768.pth", 768, False), ("full_sft_768_moe.pth", 768, True)):
        path = fake.settings.out_dir / name
        path.write_bytes(b"weights " * 4000)
        fake.files.append(WeightFile(name, path, 217_000_000, now - 500_000, hidden, moe))
    folder = home / "version"
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(bytes(range(256)) * 64)
