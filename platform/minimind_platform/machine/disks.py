"""What is free on the disks that the platform writes to, and what the platform takes of them.

disks(settings)
usage(settings, deleted_ids)        # looks at every file: seconds to minutes
"""

import os
import shutil
import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from minimind_platform.machine.views import Disk, DiskUse
from minimind_platform.settings import Settings
from trainer.names import TaskFile

BLOCK = 512
LOW_SHARE, LOW_BYTES = 0.1, 5 * 10**9
PARTS: tuple[str, ...] = ("checkpoints", "logs", "caches", "weights", "trash", "databases", "data", "other")


def disks(settings: Settings) -> list[Disk]:
    """The file systems of home, out, mlruns and dataset; folders on the same one together."""
    places = {"home": settings.home, "out": settings.out_dir, "mlruns": settings.mlruns_dir}
    places["dataset"] = settings.data_dir
    found: dict[int, Disk] = {}
    for name, path in places.items():
        with suppress(OSError):
            number, space = path.stat().st_dev, shutil.disk_usage(path)
            known = found.get(number)
            folders = [*(known.folders if known else []), name]
            found[number] = Disk(folders, space.total, space.free)
    return list(found.values())


def is_low(disk: Disk) -> bool:
    """Below a tenth, or below 5 GB."""
    return disk.free < LOW_BYTES or disk.free < disk.total * LOW_SHARE


def usage(settings: Settings, deleted: Collection[str]) -> DiskUse:
    """Bytes by kind. A checkpoint has a name in the task's folder and one among the artifacts, and counts once."""
    parts: dict[str, int] = dict.fromkeys(PARTS, 0)
    seen: set[tuple[int, int]] = set()
    gone = set(deleted)
    for top, inside in ((settings.out_dir, _in_out), (settings.mlruns_dir, _in_mlruns), (settings.data_dir, _data)):
        for folder, _, names in os.walk(top):
            below = Path(folder).relative_to(top).parts
            for name in names:
                with suppress(FileNotFoundError):
                    status = Path(folder, name).lstat()
                    key = (status.st_dev, status.st_ino)
                    if key not in seen:
                        seen.add(key)
                        part = "trash" if gone.intersection(below) else inside(below, name)
                        parts[part] += status.st_blocks * BLOCK
    return DiskUse(parts, time.time())


def _in_out(below: tuple[str, ...], name: str) -> str:
    if not below:
        return "weights" if name.endswith((".pth", ".json")) else "other"
    if below[0] == ".cache":
        return "caches"
    if below[0] == "hub":
        return "weights"
    if below[0].startswith("."):
        return "logs"
    return "checkpoints" if TaskFile.CHECKPOINTS in below or name.endswith((".safetensors", ".npz")) else "logs"


def _in_mlruns(below: tuple[str, ...], name: str) -> str:
    if below and below[0] == "artifacts":
        return "checkpoints" if TaskFile.CHECKPOINTS in below else "logs"
    if below and below[0] == "logs":
        return "logs"
    return "databases" if ".db" in name else "other"


def _data(_below: tuple[str, ...], _name: str) -> str:
    return "data"
