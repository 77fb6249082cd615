"""What the trash answers with: plain values."""

from dataclasses import dataclass, field
from enum import StrEnum

from minimind_platform.views import Job


class Need(StrEnum):
    """Why something depends on a task."""

    WEIGHTS = "weights"
    """Its settings name weights, checkpoints or files of it."""
    CLONE = "clone"
    """It repeats or changes it, and can do without."""
    SWEEP = "sweep"
    """The sweep that it is a trial of; what the sweep knows of it stays."""


@dataclass(frozen=True)
class Dependent:
    """A task or a sweep that depends on a task."""

    id: str
    name: str
    kind: str
    """task or sweep."""
    state: str
    need: Need
    on: str
    """Id of what it depends on."""
    ended: bool

    @property
    def blocks(self) -> bool:
        """Whether it would miss the files: then they cannot be removed before it has ended."""
        return self.need is Need.WEIGHTS and not self.ended


@dataclass(frozen=True)
class Cost:
    """What it means to delete some tasks and to remove them for good."""

    bytes: int
    """What the disk gains: files with names elsewhere too do not count."""
    count: int
    """Tasks, the trials of sweeps among them."""
    dependents: list[Dependent] = field(default_factory=list)
    """Those that stay."""
    tracking: bool = True
    """False if the tracking server was not asked which model versions there are, so that dependents may be missing."""


@dataclass(frozen=True)
class TrashItem:
    """A deleted task, or a deleted sweep with its trials."""

    id: str
    name: str
    kind: str
    """task or sweep."""
    type: str
    deleted_at: float
    bytes: int | None
    """What removing it would free; None while that is being measured."""
    trials: int = 0
    """Of a sweep."""
    purging: bool = False
    dependents: list[Dependent] = field(default_factory=list)


@dataclass(frozen=True)
class TrashPage:
    """A part of the trash, last deleted first."""

    items: list[TrashItem]
    total: int
    """Items in the trash, those on other pages too."""
    bytes: int
    """Freed by emptying it, as far as it was measured."""
    measuring: int
    """Tasks whose bytes are not known yet."""
    purging: int
    """Tasks and sweeps that are being removed, or wait for it."""
    job: Job | None
    """The removal that runs, or the last one."""
    tracking: bool


@dataclass(frozen=True)
class Purge:
    """A removal that was begun."""

    job: Job | None
    """None if there was nothing to remove."""
    count: int
    """Tasks and sweeps that are removed."""
    kept: list[Dependent] = field(default_factory=list)
    """What others that have not ended need, so that what they depend on stays in the trash."""
