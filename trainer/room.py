"""Room on the disk for checkpoints: looked at before each, so that a full disk costs a checkpoint and not the training.

room = Room(checkpoints, guess=12 * parameters)
if problem := room.problem(): ...     # skip this one
warning = room.saved(checkpoint)      # "" while there is plenty
"""

from trainer.checkpoints import Checkpoint, Checkpoints, free_bytes, read_manifest
from trainer.errors import DiskError

SAFE = 2
"""Times the size of a checkpoint that must be free before one is written: others may write at the same time."""
PLENTY = 4
"""Times that size, below which a person is warned."""
WAY_OUT = "Free some space: delete old checkpoints, or empty the trash."


class Room:
    """Knows how large a checkpoint gets, and how much is free."""

    def __init__(self, checkpoints: Checkpoints, guess: int) -> None:
        """`guess`: bytes of a checkpoint, used until there is one."""
        self._folder = checkpoints.folder
        kept = checkpoints.all()
        self._size = _size_of(kept[-1]) if kept else guess
        self._warned = False

    def problem(self) -> DiskError | None:
        """Why the next checkpoint should not be written now; None if there is room."""
        free = free_bytes(self._folder)
        if free >= SAFE * self._size:
            return None
        text = (
            f"{told(free)} are free in {self._folder}, and writing a checkpoint safely takes {told(SAFE * self._size)}."
        )
        return DiskError(text, WAY_OUT)

    def saved(self, checkpoint: Checkpoint) -> str:
        """Take note of a checkpoint that was written. A warning, once, when few more have room; else ""."""
        self._size = _size_of(checkpoint)
        free = free_bytes(self._folder)
        if self._warned or free >= PLENTY * self._size:
            return ""
        self._warned = True
        return f"The disk is nearly full: {told(free)} are free, and a checkpoint has {told(self._size)}. {WAY_OUT}"


def told(size: float) -> str:
    """A size for people."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"


def _size_of(checkpoint: Checkpoint) -> int:
    return sum(file["bytes"] for file in read_manifest(checkpoint.path)["files"].values())
