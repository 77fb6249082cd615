"""What is known of this machine: plain values. Bytes, percent, degrees Celsius, watts, seconds since 1970."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class GpuUse:
    """One GPU as nvidia-smi tells it; None for what it does not tell."""

    slot: str
    name: str
    uuid: str
    use: float | None
    """Percent of the time in which it computed."""
    memory: int | None
    memory_total: int | None
    temperature: float | None
    power: float | None
    power_limit: float | None


@dataclass(frozen=True)
class Slot:
    """A place to train, and who has it."""

    name: str
    task_id: str = ""
    task_name: str = ""


@dataclass(frozen=True)
class Queued:
    """A task that waits, and for what."""

    id: str
    name: str
    waits_for: str


@dataclass(frozen=True)
class TaskShare:
    """What the processes of a running task take."""

    id: str
    name: str
    type: str
    device: str
    processes: int
    cpu: float | None
    """Percent of one core; None until it was looked at twice."""
    memory: int
    gpu_memory: int | None
    """None where it cannot be told."""


@dataclass(frozen=True)
class PlatformProcess:
    """One of the processes of the platform."""

    name: str
    """supervisor, tracking, scheduler or web."""
    alive: bool
    pid: int | None = None
    cpu: float | None = None
    memory: int | None = None


@dataclass(frozen=True)
class Disk:
    """A file system that the platform writes to."""

    folders: list[str]
    """Those of home, out, mlruns and dataset that are on it."""
    total: int
    free: int


@dataclass(frozen=True)
class DiskUse:
    """What the platform takes of it, by kind; each file counts once."""

    parts: dict[str, int]
    """checkpoints, logs, caches, weights, trash, databases, data, other."""
    measured_at: float


@dataclass(frozen=True)
class Notice:
    """Something that a person should look at."""

    kind: str
    """low_disk, checkpoint, idle_gpu or free_gpu."""
    subject: str
    """Folders or slots."""
    values: dict[str, float | str] = field(default_factory=dict)


@dataclass(frozen=True)
class History:
    """The last ten minutes, as far as somebody has looked. Lists of the same length."""

    times: list[float]
    cpu: list[float]
    memory: list[float]
    """Percent."""
    gpus: dict[str, list[float | None]]
    gpu_memory: dict[str, list[float | None]]
    """Percent, by slot."""


@dataclass(frozen=True)
class Machine:
    """All of it at one moment."""

    t: float
    cpu: float
    cores: int
    load: float
    """Processes that wanted to run in the last minute, on average."""
    memory: int
    memory_total: int
    gpus: list[GpuUse]
    gpu_trouble: str
    """Why there are none: "" if there are, "none" without an NVIDIA driver, else what nvidia-smi said."""
    disks: list[Disk]
    disk_use: DiskUse | None
    """None while it is being measured for the first time."""
    slots: list[Slot]
    queue: list[Queued]
    queued: int
    tasks: list[TaskShare]
    processes: list[PlatformProcess]
    warnings: list[Notice]
    history: History
