"""`minimind backup-restore FILE`: a backup into an empty home and empty databases.

    done = restore(settings, Path("/backup/minimind.tar"))

Nothing is written over, and what is wrong with a backup is told before anything is in its place. Trainings
that ran when the backup was made are resumed by the next `minimind up`.
"""

import json
import shutil
import tarfile
from pathlib import Path, PurePosixPath
from typing import Any

from minimind_platform.backup import FORMAT, MANIFEST, Done, databases_of
from minimind_platform.database_copies import KINDS, check_empty, load
from minimind_platform.errors import PlatformError
from minimind_platform.home import only_platform
from minimind_platform.schema import REVISIONS
from minimind_platform.settings import SETTINGS_FILE, Settings

STAGING = ".restoring"


def restore(settings: Settings, source: Path) -> Done:
    """Bring back what a backup has.

    Raises:
        PlatformError: it is no backup or that of a newer program, the home or a database has data already, databases
            are of another kind, or something cannot be written.
    """
    try:
        with only_platform(settings):
            _check_home(settings)
            return _restore(settings, source.expanduser())
    except (OSError, tarfile.TarError) as error:
        raise PlatformError(f"The backup {source} cannot be restored: {error}.") from error


def _restore(settings: Settings, source: Path) -> Done:
    with tarfile.open(source) as tar:
        members = tar.getmembers()
        manifest = _manifest(tar, members)
        urls = databases_of(settings)
        unknown = manifest["databases"].keys() - urls.keys()
        if unknown:
            raise PlatformError(
                "The backup has the database of its own tracking server, but here tracking_uri is set.",
                "Leave tracking_uri empty, or set tracking_database_url to an empty database as well.",
            )
        for name, file in manifest["databases"].items():
            check_empty(urls[name], KINDS[PurePosixPath(file).suffix], name)
        staging = settings.home / STAGING
        shutil.rmtree(staging, ignore_errors=True)
        tar.extraction_filter = lambda member, _: member  # they have been looked at
        for member in members:
            tar.extract(member, staging, set_attrs=False)
    for name, file in manifest["databases"].items():
        load(staging / file, urls[name])
    notes = _move(staging, settings)
    sizes = sum(member.size for member in members)
    return Done(tuple(manifest["databases"]), len(members), sizes, tuple(notes))


def _check_home(settings: Settings) -> None:
    """Only an empty home: nothing is ever written over."""
    for folder in (settings.out_dir, settings.artifacts_dir):
        if folder.is_dir() and any(path.name != ".gitkeep" for path in folder.iterdir()):
            raise PlatformError(f"{folder} is not empty.", "Restore into another home, with --home, or move it away.")


def _manifest(tar: tarfile.TarFile, members: list[tarfile.TarInfo]) -> dict[str, Any]:
    """What the backup says of itself; refuses entries that lead out of the folder."""
    file = tar.extractfile(MANIFEST) if MANIFEST in {member.name for member in members} else None
    if file is None:
        raise PlatformError(f"{tar.name} is not a backup that `minimind backup` has made.")
    for member in members:
        paths = [PurePosixPath(member.name)] + ([PurePosixPath(member.linkname)] if member.islnk() else [])
        if any(path.is_absolute() or ".." in path.parts for path in paths) or not (member.isreg() or member.islnk()):
            raise PlatformError(f"{tar.name} has an entry that no backup has: {member.name!r}. Nothing was restored.")
    manifest = json.load(file)
    if manifest["format"] > FORMAT or manifest["queue"] not in REVISIONS:
        raise PlatformError(
            f"The backup was made by a newer version: its queue has version {manifest['queue']}, this program knows "
            f"{REVISIONS[-1]}. Update MiniMind Platform first."
        )
    return manifest


def _move(staging: Path, settings: Settings) -> list[str]:
    notes = []
    for name, target in (("mlruns/artifacts", settings.artifacts_dir), ("out", settings.out_dir)):
        target.mkdir(parents=True, exist_ok=True)
        for path in sorted((staging / name).glob("*")):
            path.rename(target / path.name)
    if (staging / SETTINGS_FILE).exists():
        if (settings.home / SETTINGS_FILE).exists():
            notes.append(f"{SETTINGS_FILE} was there already and stays; that of the backup was not restored.")
        else:
            (staging / SETTINGS_FILE).rename(settings.home / SETTINGS_FILE)
    shutil.rmtree(staging)
    return notes
