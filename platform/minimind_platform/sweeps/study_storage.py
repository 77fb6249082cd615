"""Where studies are kept: Optuna's own tables in a database of their own, opened safely, its errors told as ours."""

import functools
from collections.abc import Callable, Container
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import optuna
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from optuna.storages._cached_storage import _CachedStorage
from optuna.storages._rdb.models import NOT_FOUND_MSG
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import create_engine, inspect
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DatabaseError

from minimind_platform.database import LOCK_WAIT_SECONDS, alone
from minimind_platform.errors import DatabaseUnavailableError, NotFoundError, PlatformError

Given = ParamSpec("Given")
Answer = TypeVar("Answer")
EXCLUDED = "excluded:"
"""Before the number of a trial, as a note on the study: Optuna does not change a trial that has ended."""


class CountedStorage(_CachedStorage):
    """A storage in which all of Optuna, samplers and pruners too, sees only the trials that count."""

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        excluded = self.excluded(study_id)
        return [t for t in super().get_all_trials(study_id, deepcopy, states) if t.number not in excluded]

    def every_trial(self, study_id: int) -> list[FrozenTrial]:
        """Those that do not count too. They belong to the storage: do not change them."""
        return super().get_all_trials(study_id, deepcopy=False)

    def excluded(self, study_id: int) -> set[int]:
        """Numbers of those that do not count."""
        notes = self.get_study_user_attrs(study_id)
        return {int(key.removeprefix(EXCLUDED)) for key, value in notes.items() if key.startswith(EXCLUDED) and value}

    def exclude(self, study_id: int, number: int, excluded: bool) -> None:
        """Say whether a trial counts."""
        self.set_study_user_attr(study_id, f"{EXCLUDED}{number}", excluded)


def open_storage(url: str) -> RDBStorage:
    """Open the database of studies, creating its tables if needed. Safe from many processes at once.

    Raises:
        PlatformError: it cannot be opened.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # it tells every study and trial on stderr otherwise
    try:
        address = make_url(url)
        options: dict[str, Any] = {"pool_pre_ping": True}
        if address.get_backend_name() == "sqlite":
            Path(address.database or "").parent.mkdir(parents=True, exist_ok=True)
            options = {"connect_args": {"timeout": LOCK_WAIT_SECONDS}}
        engine = create_engine(address, **options)
        with engine.connect() as connection:
            inspect(connection).has_table("studies")  # whether it is a database at all
        with alone(engine):
            storage = RDBStorage(url, engine_kwargs=options)
        engine.dispose()
    except ArgumentError:
        raise PlatformError(f"{url!r} is not the URL of a database; try sqlite:////full/path/optuna.db.") from None
    except DatabaseError as error:
        raise PlatformError(f"The database of the sweeps, {url}, cannot be opened: {error.orig}.") from error
    except RuntimeError as error:  # tables of another version of Optuna
        raise PlatformError(f"The database of the sweeps, {url}, cannot be used: {error}") from error
    return storage


def told(method: Callable[Given, Answer]) -> Callable[Given, Answer]:
    """Give Optuna's errors as ours.

    Raises:
        NotFoundError: the study was deleted meanwhile.
        DatabaseUnavailableError: the database does not answer.
    """

    @functools.wraps(method)
    def told_method(*args: Given.args, **kwargs: Given.kwargs) -> Answer:
        try:
            return method(*args, **kwargs)
        except StorageInternalError as error:
            cause = getattr(error.__cause__, "orig", None) or error
            raise DatabaseUnavailableError(f"The database of the sweeps does not answer ({cause}).") from error
        except KeyError as error:
            if error.args != (NOT_FOUND_MSG,):
                raise
            raise NotFoundError("The sweep's study was deleted.") from error

    return told_method
