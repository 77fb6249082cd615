"""Empties the trash by itself of what was deleted long ago, and goes on with removals that were interrupted.

    TrashKeeper(platform.trash, settings.trash_days).start()

A thread of the scheduler, because that is the process that always runs.
"""

import logging
import threading

from minimind_platform.errors import PlatformError
from minimind_platform.trash.service import Trash

log = logging.getLogger(__name__)

FIRST_SECONDS, EVERY_SECONDS = 60.0, 3_600.0


class TrashKeeper(threading.Thread):
    """Looks at the trash a minute after the start, and once an hour."""

    def __init__(self, trash: Trash, days: int) -> None:
        """Make it; `days` is after how long what was deleted goes for good, 0 for never."""
        super().__init__(name="trash", daemon=True)
        self._trash = trash
        self._days = days
        self._never = threading.Event()

    def run(self) -> None:
        pause = FIRST_SECONDS
        while not self._never.wait(pause):
            pause = EVERY_SECONDS
            try:
                self.round()
            except PlatformError as error:  # a server or a database that is away: an hour later is early enough
                log.warning("The trash was left as it is: %s", error)
            except Exception:  # the thread must live as long as the scheduler
                log.exception("The trash could not be looked after; the next look is in an hour.")

    def round(self) -> None:
        """Begin, or go on with, what is to be removed now.

        Raises:
            PlatformError: not now; nothing was begun.
        """
        purge = self._trash.keep(self._days)
        if purge is not None and purge.job is not None:
            log.info("%d deleted tasks and sweeps are being removed for good.", purge.count)
