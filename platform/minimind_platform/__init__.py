"""Train, watch and compare small language models.

    from minimind_platform import Platform
    platform = Platform()                                     # the current folder, or MINIMIND_HOME
    task = platform.submit("pretrain", {"data_path": "dataset/samples/pretrain.jsonl"})

Names are imported when they are first used, so that `minimind --help` does not wait for databases.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from minimind_platform.attempts import Attempt, attempts_of
    from minimind_platform.errors import (
        ConflictError,
        NotFoundError,
        PathError,
        PlatformError,
        Problem,
        SettingsError,
        TrackingUnavailableError,
        TrainerError,
    )
    from minimind_platform.exports import Model
    from minimind_platform.log_search import Wanted
    from minimind_platform.samples import SampleQuery
    from minimind_platform.service import Platform
    from minimind_platform.settings import Settings
    from minimind_platform.sweeps.handle import SweepHandle, SweepPausedError
    from minimind_platform.sweeps.space import Param
    from minimind_platform.sweeps.spec import Objective, SweepSpec
    from minimind_platform.sweeps.views import Sweep, SweepCheck, SweepPage, SweepState, Trial, TrialState
    from minimind_platform.tasks import ACTIVE, ENDED, Progress, State, Task, TaskEvent, TaskPage
    from minimind_platform.typed_settings import as_command, as_python
    from minimind_platform.views import (
        Check,
        Dataset,
        HubEntry,
        Job,
        JobState,
        LogChunk,
        LogLine,
        LogMatches,
        ModelVersion,
        Point,
        Preflight,
        Sample,
        SamplePage,
        Series,
        TrainingType,
        WeightFile,
    )
    from minimind_platform.written_settings import as_yaml, read_yaml, with_own_names
    from trainer.fields import ConfigField, RewardKind
    from trainer.names import Alias, ErrorClass, Metric, reward_metric
    from trainer.presets import DEFAULT_PRESET, Preset, matching_preset
    from trainer.reward_specs import rewards_in_words
    from trainer.starts import Start

_HOMES = {
    "minimind_platform.attempts": ("Attempt", "attempts_of"),
    "minimind_platform.exports": ("Model",),
    "minimind_platform.log_search": ("Wanted",),
    "minimind_platform.samples": ("SampleQuery",),
    "minimind_platform.service": ("Platform",),
    "minimind_platform.settings": ("Settings",),
    "minimind_platform.sweeps.space": ("Param",),
    "minimind_platform.sweeps.spec": ("Objective", "SweepSpec"),
    "minimind_platform.sweeps.views": ("Sweep", "SweepCheck", "SweepPage", "SweepState", "Trial", "TrialState"),
    "minimind_platform.sweeps.handle": ("SweepHandle", "SweepPausedError"),
    "minimind_platform.tasks": ("ACTIVE", "ENDED", "Progress", "State", "Task", "TaskEvent", "TaskPage"),
    "minimind_platform.typed_settings": ("as_command", "as_python"),
    "minimind_platform.written_settings": ("as_yaml", "read_yaml", "with_own_names"),
    "minimind_platform.views": (
        "Check",
        "Dataset",
        "HubEntry",
        "Job",
        "JobState",
        "LogChunk",
        "LogLine",
        "LogMatches",
        "ModelVersion",
        "Point",
        "Preflight",
        "Sample",
        "SamplePage",
        "Series",
        "TrainingType",
        "WeightFile",
    ),
    "minimind_platform.errors": (
        "ConflictError",
        "NotFoundError",
        "PathError",
        "PlatformError",
        "Problem",
        "SettingsError",
        "TrackingUnavailableError",
        "TrainerError",
    ),
    "trainer.fields": ("ConfigField", "RewardKind"),
    "trainer.names": ("Alias", "ErrorClass", "Metric", "reward_metric"),
    "trainer.presets": ("DEFAULT_PRESET", "Preset", "matching_preset"),
    "trainer.reward_specs": ("rewards_in_words",),
    "trainer.starts": ("Start",),
}
_WHERE = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "ACTIVE",
    "DEFAULT_PRESET",
    "ENDED",
    "Alias",
    "Attempt",
    "Check",
    "ConfigField",
    "ConflictError",
    "Dataset",
    "ErrorClass",
    "HubEntry",
    "Job",
    "JobState",
    "LogChunk",
    "LogLine",
    "LogMatches",
    "Metric",
    "Model",
    "ModelVersion",
    "NotFoundError",
    "Objective",
    "Param",
    "PathError",
    "Platform",
    "PlatformError",
    "Point",
    "Preflight",
    "Preset",
    "Problem",
    "Progress",
    "RewardKind",
    "Sample",
    "SamplePage",
    "SampleQuery",
    "Series",
    "Settings",
    "SettingsError",
    "Start",
    "State",
    "Sweep",
    "SweepCheck",
    "SweepHandle",
    "SweepPage",
    "SweepPausedError",
    "SweepSpec",
    "SweepState",
    "Task",
    "TaskEvent",
    "TaskPage",
    "TrackingUnavailableError",
    "TrainerError",
    "TrainingType",
    "Trial",
    "TrialState",
    "Wanted",
    "WeightFile",
    "as_command",
    "as_python",
    "as_yaml",
    "attempts_of",
    "matching_preset",
    "read_yaml",
    "reward_metric",
    "rewards_in_words",
    "with_own_names",
]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_WHERE[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
