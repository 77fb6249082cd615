"""What can be wrong with settings and input, told so that a person can act on it."""

import dataclasses
from dataclasses import dataclass
from typing import Any

from trainer.names import ErrorClass


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: the field, a code to translate by, the values, and an English sentence."""

    field: str
    """Config field, or "" if it concerns the whole."""
    code: str
    message: str
    values: dict[str, Any] = dataclasses.field(default_factory=dict)

    def __str__(self) -> str:
        return f"--{self.field}: {self.message}" if self.field else self.message


class FieldError(ValueError):
    """A check across fields that failed; names the field that a person should change."""

    def __init__(self, name: str, code: str, message: str, **values: Any) -> None:
        super().__init__(message)
        self.problem = Problem(name, code, message, values)


class FieldListError(ValueError):
    """All that is wrong inside of one field that holds several things."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("; ".join(p.message for p in problems))
        self.problems = problems


class TrainerError(Exception):
    """A failure with a cause that a person can read and a hint on the way out."""

    error_class = ErrorClass.INTERNAL

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class SettingsError(TrainerError):
    """Settings that do not validate; carries all problems at once."""

    error_class = ErrorClass.SETTINGS

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("; ".join(str(p) for p in problems))
        self.problems = problems


class DataError(TrainerError):
    """A data file that cannot be used. The message names file and line."""

    error_class = ErrorClass.DATA


class DataChangedError(DataError):
    """A data file is not what it was when the checkpoint was saved."""

    error_class = ErrorClass.DATA_CHANGED


class BaseModelError(TrainerError):
    """Base weights that are missing, damaged, or do not fit the settings."""

    error_class = ErrorClass.BASE


class BusyError(TrainerError):
    """Another trainer works on the same task."""


class DivergedError(TrainerError):
    """The loss became NaN or infinite."""

    error_class = ErrorClass.DIVERGED


class RewardError(TrainerError):
    """A reward that cannot be computed. The message names the reward, the sample and the value."""

    error_class = ErrorClass.REWARD


class DiskError(TrainerError):
    """The disk is full or refuses to write."""

    error_class = ErrorClass.DISK
