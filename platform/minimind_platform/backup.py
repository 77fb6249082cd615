"""`minimind backup FILE`: everything that is not data to train on, in one tar file, while trainings run.

    done = make_backup(settings, Path("/backup/minimind.tar"))

What is copied when is the point. How far the tracking server knows each run (`spool.offset`) comes first, then the
queue, the studies and the tracking server's database, then the files: whatever is older is caught up with by what is
done after every crash, for metrics are sent again, trials are looked up, and a task whose process is gone is resumed.
"""

import contextlib
import io
import json
import os
import tarfile
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from minimind_platform.database_copies import save
from minimind_platform.errors import PlatformError
from minimind_platform.schema import REVISIONS
from minimind_platform.settings import SETTINGS_FILE, Settings
from trainer.names import TaskFile

FORMAT = 1
MANIFEST = "backup.json"
DATABASES = "databases"
LEFT_OUT = frozenset({".cache", ".jobs"})
"""Folders in out/ that are made again when they are needed."""
STEADY_BYTES = 300 * 2**20
"""Files above this are weights, which never change once they are there."""
LOOKS = 5
"""How often a folder is looked through for files that came while it was copied."""


@dataclass(frozen=True)
class Done:
    """What a backup or a restore has done."""

    databases: tuple[str, ...]
    files: int
    bytes: int
    notes: tuple[str, ...] = ()


def make_backup(settings: Settings, target: Path) -> Done:
    """Write a backup. Whoever can read it can read all settings, so only its owner can.

    Raises:
        PlatformError: the file is there already, a database cannot be copied, or the disk is full.
    """
    target = target.expanduser().absolute()
    if target.exists():
        raise PlatformError(f"{target} exists already; choose another name.")
    part = target.with_name(f".{target.name}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with open(part, "wb", opener=_private) as file:
            with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
                done = _Writer(settings, tar, {part, target}).write()
            file.flush()
            os.fsync(file.fileno())
        part.replace(target)
    except OSError as error:
        raise PlatformError(f"The backup {target} cannot be written: {error}.") from error
    finally:
        part.unlink(missing_ok=True)
    return done


def databases_of(settings: Settings) -> dict[str, str]:
    """Our databases by name, in the order in which they are copied. A tracking server of others is theirs."""
    found = {"queue": settings.database, "studies": settings.studies}
    if settings.tracking_database_url or not settings.tracking_uri:
        found["tracking"] = settings.tracking_database
    return found


class _Writer:
    def __init__(self, settings: Settings, tar: tarfile.TarFile, skipped: set[Path]) -> None:
        self._settings = settings
        self._tar = tar
        self._skipped = skipped
        self._seen: set[str] = set()
        self._files = self._bytes = 0

    def write(self) -> Done:
        settings = self._settings
        offsets = {path: path.read_bytes() for path in settings.out_dir.glob(f"*/{TaskFile.OFFSET}")}
        copied = self._write_databases()
        manifest = {"format": FORMAT, "made_at": time.time(), "queue": REVISIONS[-1], "databases": copied}
        self._add_bytes(MANIFEST, json.dumps(manifest, indent=1).encode())
        for path, content in offsets.items():
            self._add_bytes(f"out/{path.parent.name}/{path.name}", content)
        if (settings.home / SETTINGS_FILE).exists():
            self._add(settings.home / SETTINGS_FILE, SETTINGS_FILE)
        self._add_folder(settings.artifacts_dir, "mlruns/artifacts")
        self._add_folder(settings.out_dir, "out")
        notes = () if "tracking" in databases_of(settings) else (f"{settings.tracking_uri} is not in it.",)
        return Done(tuple(copied), self._files, self._bytes, notes)

    def _write_databases(self) -> dict[str, str]:
        copied: dict[str, str] = {}
        with tempfile.TemporaryDirectory(prefix="minimind-backup-") as folder:
            for name, url in databases_of(self._settings).items():
                if file := save(url, Path(folder) / name):
                    copied[name] = f"{DATABASES}/{file.name}"
                    self._add(file, copied[name])
        return copied

    def _add_folder(self, folder: Path, name: str) -> None:
        """All files below. Looks again until nothing new has come: a checkpoint may take the place of another one."""
        for _ in range(LOOKS):
            before = len(self._seen)
            for path in _files(folder):
                self._add(path, f"{name}/{path.relative_to(folder)}")
            if len(self._seen) == before:
                return

    def _add(self, path: Path, name: str) -> None:
        if name in self._seen or path.absolute() in self._skipped:
            return
        with contextlib.suppress(FileNotFoundError), path.open("rb") as file:  # removed since
            entry = self._tar.gettarinfo(arcname=name, fileobj=file)
            if not entry.isreg():
                self._tar.addfile(entry)  # the same file under another name
            elif entry.size > STEADY_BYTES:
                self._tar.addfile(entry, file)
            else:  # a log may grow or be cut meanwhile, and its size stands before its content
                content = file.read()
                entry.size = len(content)
                self._tar.addfile(entry, io.BytesIO(content))
            self._count(name, entry.size)

    def _add_bytes(self, name: str, content: bytes) -> None:
        entry = tarfile.TarInfo(name)
        entry.size, entry.mtime = len(content), int(time.time())
        self._tar.addfile(entry, io.BytesIO(content))
        self._count(name, len(content))

    def _count(self, name: str, size: int) -> None:
        self._seen.add(name)
        self._files += 1
        self._bytes += size


def _files(folder: Path) -> Iterator[Path]:
    """Regular files; neither what is made again nor what is being written."""
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(one for one in folders if one not in LEFT_OUT and not one.endswith(".tmp"))
        paths = (Path(place) / name for name in sorted(names) if not name.endswith(".lock") and name != "lock")
        yield from (path for path in paths if path.is_file() and not path.is_symlink())


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_TRUNC, 0o600)
