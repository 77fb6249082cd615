"""Which files a person may name. Data and weights stay under dataset/, out/ and the data roots of the settings.

Paths(settings).file("dataset/samples/sft.jsonl")      # absolute path, or PathError, or NotFoundError
"""

import os
import re
import stat
from pathlib import Path

from minimind_platform.errors import NotFoundError, PathError
from minimind_platform.settings import SETTINGS_FILE, Settings
from trainer.sources import is_data_file

_ENCODED = re.compile(r"%(?:2e|2f|5c|00|25)", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Paths:
    """Resolves the paths in settings against the folders that may be read."""

    def __init__(self, settings: Settings) -> None:
        self._home = settings.home
        self._data = settings.data_dir
        given = [Path(root).expanduser() for root in settings.data_roots]
        folders = [
            settings.data_dir,
            settings.out_dir,
            *(root if root.is_absolute() else self._home / root for root in given),
        ]
        self.roots = [Path(os.path.realpath(folder)) for folder in folders]

    def file(self, text: str) -> Path:
        """The regular file that a path names.

        Raises:
            PathError: it lies outside, or is written in a way that could lead there.
            NotFoundError: there is no such file.
        """
        path = self.resolve(text)
        mode = _mode(path)
        if mode is None:
            raise NotFoundError(f"There is no file {text!r}.", self._hint(path))
        if not stat.S_ISREG(mode):
            raise PathError(f"{text!r} is not a file.")
        return path

    def data(self, text: str) -> Path:
        """The data set that a path names: a file, or a folder, each of whose data files may be read.

        Errors as in `file`.
        """
        path = self.resolve(text)
        if not stat.S_ISDIR(_mode(path) or 0):
            return self.file(text)
        inside = sorted(path.iterdir()) if os.access(path, os.R_OK) else []
        for file in inside:
            if is_data_file(file.name) and not self.allows(file):
                raise PathError(
                    f"{file.name} in the folder {text!r} is a link that leads outside of dataset/, out/ and data_roots."
                )
        return path

    def folder(self, text: str) -> Path:
        """The folder that a path names; errors as in `file`."""
        path = self.resolve(text)
        mode = _mode(path)
        if mode is None:
            raise NotFoundError(f"There is no folder {text!r}.")
        if not stat.S_ISDIR(mode):
            raise PathError(f"{text!r} is not a folder.")
        return path

    def resolve(self, text: str) -> Path:
        """The absolute path, links followed, if it exists or not. A relative one starts at home, else in dataset/."""
        _check_spelling(text)
        path = Path(text)
        candidates = [path] if path.is_absolute() else [self._home / path, self._data / path]
        real = [Path(os.path.realpath(candidate)) for candidate in candidates]
        inside = [candidate for candidate in real if self._allows(candidate)]
        for candidate in inside:
            if _mode(candidate) is not None:
                return candidate
        # A name that exists outside must not turn into "not found" under dataset/: that would hide the reason.
        if not inside or (real[0] not in inside and _mode(real[0]) is not None):
            raise PathError(
                f"{text!r} lies outside of dataset/, out/ and the data_roots.",
                f"Move it to dataset/, or add its folder to data_roots in {SETTINGS_FILE}.",
            )
        return inside[0]

    def shorten(self, path: Path) -> str:
        """A path as it goes into settings: relative to home where it lies under it."""
        return str(path.relative_to(self._home)) if path.is_relative_to(self._home) else str(path)

    def allows(self, path: Path) -> bool:
        """Whether the file behind all links lies in a folder that may be read."""
        return self._allows(Path(os.path.realpath(path)))

    def _allows(self, path: Path) -> bool:
        return any(path.is_relative_to(root) and path != root for root in self.roots)

    def _hint(self, path: Path) -> str:
        folder = path.parent
        if not folder.is_dir():
            return "Put data into dataset/, then name it as dataset/NAME.jsonl."
        names = sorted(p.name for p in folder.iterdir() if p.suffix == path.suffix and p.is_file())[:5]
        return f"{self.shorten(folder)}/ has {', '.join(names)}." if names else ""


def _check_spelling(text: str) -> None:
    """Refuse what is never a plain path, before the file system sees it."""
    reason = ""
    if not text.strip():
        reason = "it is empty"
    elif _CONTROL.search(text):
        reason = "it contains a control character"
    elif "\\" in text:
        reason = "it contains a backslash; use /"
    elif _ENCODED.search(text):
        reason = "it contains a percent code"
    elif "://" in text or text.startswith(("file:", "~")):
        reason = "it must be a plain path on this machine, without ~ or ://"
    elif ".." in Path(text).parts:
        reason = "it contains '..'"
    elif not _encodable(text):
        reason = "it is not valid UTF-8"
    if reason:
        raise PathError(f"{text!r} cannot be used as a path: {reason}.")


def _encodable(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _mode(path: Path) -> int | None:
    """The kind of file, or None if there is none that could be read (missing, too long a name, a circle of links)."""
    try:
        return path.stat().st_mode
    except OSError:
        return None
