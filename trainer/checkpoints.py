"""Checkpoints: a Hugging Face folder and the training state, written so that a crash at any moment leaves the last good
one, and read only after every byte is checked.

    checkpoints = Checkpoints(task_dir, keep=3)
    checkpoints.save(step, write_files, tags)
    found = checkpoints.newest_good()
"""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from trainer.errors import DiskError
from trainer.fault_points import reach
from trainer.names import HIGHER_IS_BETTER, TaskFile

MANIFEST = "manifest.json"
STATE_DIR = "trainer_state"
_CHECK = "check"
"""In the manifest: SHA-256 over all else of it."""
_IN_USE = "in_use"
_PREFIX = "step_"
_ASIDE = ".before"
"""Behind the name of a checkpoint whose successor of the same step gets its name at this moment."""
_NAME = re.compile(r"^step_\d+$")


@dataclass(frozen=True)
class Checkpoint:
    """One checkpoint on the disk."""

    path: Path
    step: int

    @property
    def relative(self) -> str:
        """Its path from the task directory, as the registry knows it."""
        return f"{TaskFile.CHECKPOINTS}/{self.path.name}"


class Checkpoints:
    """The checkpoints of one task directory."""

    def __init__(self, task_dir: Path, keep: int, best: int = 1, every: int = 0) -> None:
        """Keep the newest `keep`, the `best` best, and those of every `every`th step; 0 for none of these."""
        self.folder = task_dir / TaskFile.CHECKPOINTS
        self.keep, self.best, self.every = keep, best, every
        self.shards = self.folder / ".shards.tmp"
        """Where the processes of a sharded training put their parts, until the first moves them into a checkpoint."""

    def save(self, step: int, write_files: Callable[[Path], None], about: dict[str, Any]) -> Checkpoint:
        """Write a checkpoint under a temporary name, all of it to the disk, and only then give it its name.

        Args:
            step: optimizer step.
            write_files: writes the model and `trainer_state/` into the folder that it is given.
            about: what to note in the manifest.

        Raises:
            DiskError: the disk is full or refuses; what was written is removed, older checkpoints stay.
        """
        final = self.at(step).path
        temporary = self.folder / f".{final.name}.{os.getpid()}.tmp"
        shutil.rmtree(temporary, ignore_errors=True)
        try:
            temporary.mkdir(parents=True)
            write_files(temporary)
            reach("saver.before_manifest")
            _write_manifest(temporary, {"step": step, **about})
            reach("saver.before_rename")
            self._put_in_place(temporary, final)
            reach("saver.after_rename")
        except Exception as error:
            shutil.rmtree(temporary, ignore_errors=True)
            if not _disk_refused(error):
                raise
            raise DiskError(
                f"The checkpoint of step {step} could not be written ({str(error)[:150]}); "
                f"{free_bytes(self.folder) / 1e9:.1f} GB are free.",
                "Free some space, then resume: earlier checkpoints are intact.",
            ) from error
        return Checkpoint(final, step)

    def _put_in_place(self, temporary: Path, final: Path) -> None:
        """Give it its name. One that an earlier attempt wrote at this step stays until the new one is there."""
        aside = final.with_name(f".{final.name}{_ASIDE}")
        if final.exists():
            if (final / _IN_USE).exists():
                (temporary / _IN_USE).touch()
            final.rename(aside)
            reach("saver.set_aside")
        temporary.rename(final)
        _sync(self.folder)
        shutil.rmtree(aside, ignore_errors=True)

    def all(self) -> list[Checkpoint]:
        """Every checkpoint with a manifest, oldest first."""
        if not self.folder.is_dir():
            return []
        found = [p for p in self.folder.iterdir() if _NAME.match(p.name) and (p / MANIFEST).is_file()]
        return sorted((Checkpoint(p, int(p.name.removeprefix(_PREFIX))) for p in found), key=lambda c: c.step)

    def at(self, step: int) -> Checkpoint:
        """The checkpoint of a step, whether it is there or not."""
        return Checkpoint(self.folder / f"{_PREFIX}{step:06d}", step)

    def newest_good(self, report: Callable[[Checkpoint, str], None] = lambda _, __: None) -> Checkpoint | None:
        """The newest checkpoint whose every file has the size and SHA-256 of the manifest.

        Args:
            report: is told of each damaged one that is passed over, and what is wrong with it.
        """
        self._remove_temporary()
        for checkpoint in reversed(self.all()):
            damage = verify(checkpoint.path)
            if not damage:
                return checkpoint
            report(checkpoint, damage)
        return None

    def surplus(self, best_step: int | None) -> list[Checkpoint]:
        """Checkpoints that may go: all but those to keep, the best of the whole run, and those that others need."""
        found = self.all()
        kept = {best_step, *(self._best_steps(found) if self.best > 1 else ())}
        return [
            c
            for c in found[: -self.keep]
            if c.step not in kept and not (self.every and c.step % self.every == 0) and not (c.path / _IN_USE).exists()
        ]

    def _best_steps(self, found: list[Checkpoint]) -> list[int]:
        """Steps of the best, by what the newest one with a value was measured by."""
        manifests = [(c.step, _readable_manifest(c.path)) for c in found]
        measured = [
            (step, about["metric"], about["value"]) for step, about in manifests if about.keys() >= {"metric", "value"}
        ]
        if not measured:
            return []
        metric = measured[-1][1]
        sign = -1 if metric in HIGHER_IS_BETTER else 1
        ranked = sorted((sign * value, step) for step, name, value in measured if name == metric)
        return [step for _, step in ranked[: self.best]]

    def remove(self, checkpoint: Checkpoint) -> None:
        """Remove one; the manifest goes first, so that half a removal is never taken for a checkpoint."""
        (checkpoint.path / MANIFEST).unlink(missing_ok=True)
        reach("saver.half_removed")
        shutil.rmtree(checkpoint.path, ignore_errors=True)

    def _remove_temporary(self) -> None:
        if self.folder.is_dir():
            for left in self.folder.glob(".*.tmp"):
                shutil.rmtree(left, ignore_errors=True)
            for aside in self.folder.glob(f".*{_ASIDE}"):
                final = aside.with_name(aside.name[1 : -len(_ASIDE)])
                if final.exists():
                    shutil.rmtree(aside, ignore_errors=True)
                else:
                    aside.rename(final)


def keep_for_others(folder: Path) -> None:
    """Have a checkpoint stay, because others need it: tasks that wait to start from it or learn from it, adapters that
    are nothing without it. Other folders stay anyway."""
    if (folder / MANIFEST).is_file():
        (folder / _IN_USE).touch()


def _disk_refused(error: Exception) -> bool:
    """Whether it was the disk: torch and safetensors have their own ways to say so."""
    if isinstance(error, RuntimeError):
        return "inline_container" in str(error)
    return isinstance(error, OSError | SafetensorError)


def free_bytes(folder: Path) -> int:
    """What this user may still write where a folder is or will be."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def verify(folder: Path) -> str:
    """What is wrong with a checkpoint folder, in a few words; "" if nothing."""
    manifest = _readable_manifest(folder)
    if not manifest:
        return "no readable manifest"
    for name, known in manifest["files"].items():
        path = folder / name
        if not path.is_file():
            return f"{name} is missing"
        if path.stat().st_size != known["bytes"]:
            return f"{name} has {path.stat().st_size} bytes instead of {known['bytes']}"
        if _sha256(path) != known["sha256"]:
            return f"{name} has changed"
    return ""


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a checkpoint."""
    return json.loads((folder / MANIFEST).read_text(encoding="utf-8"))


def _readable_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a checkpoint whose bytes nobody has checked; empty where it is damaged in any way."""
    try:
        manifest = read_manifest(folder)
        whole = all(isinstance(f["bytes"], int) and isinstance(f["sha256"], str) for f in manifest["files"].values())
        checked = manifest.pop(_CHECK, None)  # those of version 0.1 have none
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return {}
    return manifest if whole and checked in (None, _digest(manifest)) else {}


def _digest(manifest: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()


def _write_manifest(folder: Path, about: dict[str, Any]) -> None:
    files: dict[str, Any] = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        files[str(path.relative_to(folder))] = {"bytes": path.stat().st_size, "sha256": _sha256(path)}
        _sync(path)
    for directory in [folder, *(p for p in folder.rglob("*") if p.is_dir())]:
        _sync(directory)
    manifest = folder / MANIFEST
    content = {**about, "files": files}
    manifest.write_text(json.dumps({**content, _CHECK: _digest(content)}, indent=2) + "\n", encoding="utf-8")
    _sync(manifest)
    _sync(folder)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
