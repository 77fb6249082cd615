"""A backup of a home whose servers run, and a second home with servers of its own that was made of it."""

import time
from pathlib import Path
from typing import Any

from minimind_platform import Platform, Settings
from minimind_platform.backup import make_backup
from minimind_platform.restore import restore
from minimind_platform.supervisor import Supervisor
from trainer.checkpoints import Checkpoints
from trainer.spool import Spool
from trainer.uploads import Uploader

KEYS = ["train/loss", "eval/loss"]


def trained(platform: Platform, settings: Settings) -> str:
    """A task with curves and two checkpoints, of which the tracking server knows."""
    (settings.data_dir / "p.jsonl").write_text('{"text": "a nice day."}\n' * 100)
    values = {"data_path": "dataset/p.jsonl", "hidden_size": 64, "num_hidden_layers": 1}
    task = platform.submit("pretrain", values, name="kept")
    folder = settings.task_dir(task.id)
    spool, checkpoints = Spool(folder), Checkpoints(folder, 2)
    for step in range(1, 51):
        spool.metrics(step, {"train/loss": 9 / step, "eval/loss": 10 / step})
    for step, best in ((25, True), (50, False)):
        saved = checkpoints.save(step, lambda f: (f / "model.safetensors").write_bytes(b"weights" * 99), {})
        spool.write("checkpoint", step=step, path=saved.relative, tags={}, best=best)
    model = f"minimind-{task.type}"
    Uploader.for_task(folder, task.id, settings.tracking, settings.artifacts_dir, model, task.experiment_id).send()
    return task.id


def test_a_restored_home_has_the_same_lists_curves_and_models(
    tracking: Settings, tmp_path: Path, free_port: Any, wait_until: Any
) -> None:
    platform = Platform(tracking)
    task_id = trained(platform, tracking)
    make_backup(tracking, tmp_path / "all.tar")
    other = Settings(home=tmp_path / "other", tracking_port=free_port())
    restore(other, tmp_path / "all.tar")
    server = Supervisor(other)._tracking()
    server.log.parent.mkdir(parents=True, exist_ok=True)
    server.start()
    try:
        wait_until(server.ready, 60, f"the start of the tracking server, see {server.log},")
        restored = Platform(other)
        assert restored.tasks() == platform.tasks()
        curves = platform.series(task_id, KEYS)
        assert len(curves["eval/loss"].steps) == 50 and restored.series(task_id, KEYS) == curves
        assert restored.models() == platform.models()
        mine = [version for version in restored.models() if version.task_id == task_id]
        assert [version.aliases for version in mine] == [["last"], ["best"]]
        for version in mine:
            files = restored.version_files(version.name, version.version)
            assert files.is_relative_to(other.home)
            assert (files / "model.safetensors").read_bytes() == b"weights" * 99
    finally:
        server.ask_to_stop()
        server.wait(time.monotonic() + 5)
