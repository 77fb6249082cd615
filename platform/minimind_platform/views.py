"""What the platform answers with, beside tasks: plain values without behaviour. Times are seconds since 1970.

check = platform.check("sft", {"data_path": "dataset/samples/sft.jsonl"})
check.problems, check.preflight
"""

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from trainer.errors import Problem
from trainer.fields import ConfigField
from trainer.starts import Start


@dataclass(frozen=True)
class Preflight:
    """What a training will take, before it starts."""

    parameters: int
    rows: int
    """Rows of the data file, an estimate for a large file; prompts that are short enough, in a training by rewards."""
    tokens: int
    """Tokens in one pass over the data, rows cut at max_seq_len."""
    steps: int
    """Steps of the whole training."""
    seconds: float | None
    """None where it cannot be told, as nobody knows how long the answers of a model will get."""
    disk_bytes: int
    """What the kept checkpoints take at most."""
    tokens_per_second: float | None
    estimated_from: str
    """The task whose speed was taken, or "" for a rule of thumb."""
    trainable: int = 0
    """Of these parameters those that are trained; 0 for all."""
    answers_a_step: int = 0
    """Of trainings by rewards, as what follows."""
    written_a_step: int = 0
    """Tokens of these answers at most."""
    memory_bytes: int = 0
    """Of the device, by the formula of docs/training.md, of each process."""
    device_bytes: int = 0
    """Memory that the device has; 0 where it is not known."""
    free_disk_bytes: int = 0
    """What is free where checkpoints are kept; 0 where it is not known."""
    estimated_name: str = ""
    """What the task is called whose speed was taken."""

    @property
    def too_large(self) -> bool:
        """Whether the device has too little memory for it."""
        return 0 < self.device_bytes < self.memory_bytes

    @property
    def too_much(self) -> bool:
        """Whether the disk has too little room for the checkpoints."""
        return 0 < self.free_disk_bytes < self.disk_bytes


@dataclass(frozen=True)
class Check:
    """What is wrong with settings, and what they would take."""

    problems: list[Problem]
    preflight: Preflight | None
    """None while the settings or the data are too incomplete to tell."""
    advice: list[Problem] = field(default_factory=list)
    """What is allowed, but seldom meant."""


@dataclass(frozen=True)
class Series:
    """Points of one metric, by growing step."""

    steps: list[int]
    values: list[float | None]
    """None where the value was not a number."""
    times: list[float]
    sampled: bool
    """Whether points are missing because there are too many."""
    count: int
    """Points that are known, those before `since` too."""


@dataclass(frozen=True)
class Point:
    """What a training recorded at one step: a part of its metrics, as others are measured less often."""

    step: int
    time: float
    values: dict[str, float]
    """By metric; NaN where a value was not a number."""


@dataclass(frozen=True)
class LogChunk:
    """A part of a task's log: whole lines."""

    text: str
    begin: int
    """First byte in the file."""
    end: int
    """Byte after the last; the offset to go on from."""
    size: int
    """Bytes in the file now."""
    reset: bool
    """The file was cut, so that what a screen shows of it is no longer right."""
    unfinished: str = ""
    """The line behind it, as far as it is written, such as a progress bar that is redrawn."""


@dataclass(frozen=True)
class LogLine:
    """A line of a log that was looked for."""

    at: int
    """Byte that it begins at."""
    text: str
    """Without colours; a long line in part, with what was looked for."""
    level: str
    """error, warning, or "" for all others."""


@dataclass(frozen=True)
class LogMatches:
    """Lines of a log that were found, as far as it was looked through."""

    lines: list[LogLine]
    end: int
    """Byte to go on from."""
    size: int
    """Bytes in the file now."""
    done: bool
    """Whether it was looked through to its end."""
    reset: bool
    """The file was cut, so that what was found before stands elsewhere now; this begins anew."""


@dataclass(frozen=True)
class Sample:
    """What a model answered while it was trained by rewards."""

    at: int
    """Byte of the file that it begins at; tells samples apart."""
    step: int
    prompt: str
    completion: str
    gt: list[str]
    """The right answers, as far as the data tells them."""
    reward: float | None
    """Weighted sum; None where a reward failed."""
    rewards: dict[str, float | None]
    """Score of each reward, without its weight."""
    advantage: float | None
    tokens: int
    """Of the answer."""
    ended: bool
    """Whether the model ended the answer, rather than the limit of its length."""
    problem: str
    """Why a reward failed."""


@dataclass(frozen=True)
class SamplePage:
    """Some samples of a task."""

    samples: list[Sample]
    older: int | None
    """Where to go on reading; None if there is no more."""
    size: int
    """Bytes of all samples now."""


@dataclass(frozen=True)
class ModelVersion:
    """A checkpoint as a version of a registered model."""

    name: str
    version: int
    task_id: str
    type: str
    step: int
    loss: float | None
    eval_loss: float | None
    bytes: int
    created_at: float
    aliases: list[str]
    parameters: int
    sha256: str
    base: str = ""
    """What the training started from, as its settings name it."""
    lora_rank: int = 0
    """Of adapters, which need their base; 0 for a model of its own."""
    eval_reward: float | None = None
    """Of trainings by rewards."""


@dataclass(frozen=True)
class WeightFile:
    """A MiniMind weight file in out/, or something fetched: its file or Hugging Face folder in out/hub/."""

    name: str
    """Path below out/."""
    path: Path
    bytes: int
    modified_at: float
    hidden_size: int | None
    """As its name or config tells; None if it does not."""
    moe: bool
    lora: bool = False
    """Whether it holds adapters, which need their base."""


@dataclass(frozen=True)
class Dataset:
    """A data file, or a folder of data files, that a training can read."""

    path: str
    """As it goes into data_path."""
    name: str
    bytes: int
    rows: int | None
    """None where counting would take too long."""
    format: str
    """pretrain, sft, dpo, rlaif, or "" if it is none of them."""
    modified_at: float = 0.0
    files: int = 0
    """Data files of a folder; 0 for a single file."""


class JobState(StrEnum):
    """How a background job is."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass
class Job:
    """Something that runs in the background: statistics of a data file, a download, or emptying the trash."""

    id: str
    kind: str
    """stats, fetch or purge."""
    label: str
    """What it works on."""
    state: JobState
    created_at: float
    ended_at: float | None = None
    done: int = 0
    """Bytes that are done."""
    total: int = 0
    """Bytes in all; 0 while it is not known."""
    result: Any = None
    """What it found, when it is done."""
    error: str = ""


@dataclass(frozen=True)
class HubEntry:
    """Something that can be fetched."""

    name: str
    kind: str
    """data, weights or tokenizer."""
    format: str
    """Data format, of data."""
    bytes: int
    """About how large it is."""
    about: str
    licence: str
    source: str
    """Repository on the hub."""
    path: str
    """Where it goes, below home."""
    found: bool
    """Whether it is there."""
    part_bytes: int
    """What an earlier try has brought."""
    tokenizer: str
    """Folder of the tokenizer that a training from it must name; "" if it brings its own or is none."""
    job: Job | None
    """The download that runs, or the last one."""


@dataclass(frozen=True)
class TrainingType:
    """A training type as forms and the command line need it."""

    name: str
    title: str
    description: str
    data_format: str
    """The format of data files that it reads."""
    fields: list[ConfigField]
    defaults: dict[str, Any] = field(default_factory=dict)
    """Settings that have a default, by name."""
    needs_base: bool = False
    """Whether it cannot start from nothing."""
    starts: dict[str, Start] = field(default_factory=dict)
    """Values to begin with, by name."""
