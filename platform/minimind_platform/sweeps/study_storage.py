"""Where studies are kept: Optuna's own tables in a database of their own, opened safely, its errors told as ours."""

import functools
from collections.abc import Callable, Container
from typing import Any, ParamSpec, TypeVar

import optuna
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from optuna.storages._cached_storage import _CachedStorage
from optuna.storages._rdb.models import NOT_FOUND_MSG
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import inspect
from sqlalchemy.exc import DatabaseError

from minimind_platform.database import CONNECT_SECONDS, LOCK_WAIT_SECONDS, alone, make_engine
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
    engine = make_engine(url)
    options: dict[str, Any] = {"pool_pre_ping": True, "connect_args": {"connect_timeout": CONNECT_SECONDS}}
    if engine.dialect.name == "sqlite":
        options = {"connect_args": {"timeout": LOCK_WAIT_SECONDS}}
    try:
        with engine.connect() as connection:
            inspect(connection).has_table("studies")  # whether it is a database at all
        with alone(engine):
            address = engine.url.render_as_string(hide_password=False)
            storage = RDBStorage(address, engine_kwargs=options, skip_compatibility_check=True)
            _upgrade(storage)
    except DatabaseError as error:
        raise PlatformError(f"The database of the sweeps, {engine.url}, cannot be opened: {error.orig}.") from error
    finally:
        engine.dispose()
    return storage


def _upgrade(storage: RDBStorage) -> None:
    """Migrate a database of an older Optuna.

    Raises:
        PlatformError: a newer one has written it.
    """
    found, newest = storage.get_current_version(), storage.get_head_version()
    if found == newest:
        return
    if found not in storage.get_all_versions():
        raise PlatformError(
            f"The database of the sweeps has version {found}, which the Optuna of this installation does not know; its "
            f"newest is {newest}. Update MiniMind Platform, or restore a backup."
        )
    storage.upgrade()


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
