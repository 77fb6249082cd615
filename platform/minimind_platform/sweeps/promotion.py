"""A trial that is trained again in full: what it changes, and whether it can go on where the trial stopped.

begin_with = checkpoint_of(task, config, task_dir)      # None: it begins anew
"""

import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from minimind_platform.sweeps.spec import FOR_TRIALS, REWARDED
from minimind_platform.tasks import Task
from trainer.checkpoints import Checkpoints, verify
from trainer.configs import TrainConfig, config_class
from trainer.names import TaskFile

LENGTH = ("epochs", "max_steps")
WITHOUT_EFFECT = (
    "device", "eval_interval", "keep_best", "keep_checkpoints", "keep_every", "log_interval", "model_name",
    "retry_diverged", "retry_lost", "retry_out_of_memory", "save_dir", "save_interval", "save_weight",
    "watch_idle_gpu", "watch_loss_spike", "watch_low_disk", "watch_nan", "watch_no_progress", "watch_slow_data",
    "watch_stalled_step",
)  # fmt: skip
"""Settings that a training may change half-way without becoming another one."""
TAKEN_ALONG = (TaskFile.TEACHER, TaskFile.REFERENCE)
"""Files beside the checkpoints that a resume needs."""


def changed_settings(task: Task, values: Mapping[str, Any]) -> dict[str, Any]:
    """What to change: what trials have for being many is as usual again."""
    fields = config_class(task.type).model_fields
    usual = {name: fields[name].default for name, value in FOR_TRIALS.items() if task.config.get(name) == value}
    return usual | {"model_name": ""} | dict(values)


def checkpoint_of(task: Task, config: TrainConfig, folder: Path) -> Callable[[Path], None] | None:
    """Puts the trial's last checkpoint into a new task folder; None if the new training cannot go on from it.

    It can if only its length differs. A training by rewards cannot: its reference is dropped at its end.
    """
    before = config_class(task.type).model_validate(task.config).model_dump()
    differing = {name for name, value in config.model_dump().items() if value != before.get(name)}
    if differing - {*LENGTH, *WITHOUT_EFFECT} or task.type in REWARDED:
        return None
    good = next((c for c in reversed(Checkpoints(folder, keep=1).all()) if not verify(c.path)), None)
    if good is None:
        return None

    def begin_with(new: Path) -> None:
        target = new / TaskFile.CHECKPOINTS
        target.mkdir()
        shutil.copytree(good.path, target / good.path.name, copy_function=_link)
        for name in TAKEN_ALONG:
            if (folder / name).exists():
                shutil.copy2(folder / name, new / name)

    return begin_with


def _link(source: str, target: str) -> None:
    """A second name for the same bytes: a checkpoint is never written to again."""
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copy2(source, target)
