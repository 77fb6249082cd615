"""Errors of the platform. The docstring is the default message; each says what is wrong and the way out."""

from trainer.errors import Problem, SettingsError, TrainerError

__all__ = [
    "ConflictError",
    "DatabaseUnavailableError",
    "NotFoundError",
    "PathError",
    "PlatformError",
    "Problem",
    "SettingsError",
    "TrackingUnavailableError",
    "TrainerError",
]


class PlatformError(Exception):
    """Something went wrong in the platform."""

    def __init__(self, message: str = "", hint: str = "") -> None:
        super().__init__(message or (self.__doc__ or "").strip())
        self.message = str(self)
        self.hint = hint


class NotFoundError(PlatformError):
    """There is no such task, model or file."""


class ConflictError(PlatformError):
    """The task is not in a state that allows this."""


class PathError(PlatformError):
    """The path lies outside the folders that the platform may read."""


class TrackingUnavailableError(PlatformError):
    """The tracking server does not answer. Start it with `minimind up`, or wait until it has started."""


class DatabaseUnavailableError(PlatformError):
    """The queue's database does not answer. Try again in a moment."""
