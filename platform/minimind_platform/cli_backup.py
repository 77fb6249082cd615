"""`minimind backup` and `minimind backup-restore`.

add_commands(command)
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from minimind_platform.backup import Done
    from minimind_platform.service import Platform


def add_commands(command: Callable[..., argparse.ArgumentParser]) -> None:
    text = "Write databases, artifacts, task folders and settings to one tar file; trainings may run."
    command("backup", text, _backup).add_argument("file", help="tar file to write, such as /backup/minimind.tar")
    text = "Bring a backup back, into an empty home and empty databases; then `minimind up`."
    command("backup-restore", text, _restore).add_argument("file", help="tar file that `minimind backup` has written")


def _backup(arguments: argparse.Namespace, _platform: "Platform | None") -> int:
    from minimind_platform.backup import make_backup
    from minimind_platform.settings import Settings

    done = make_backup(Settings.load(home=arguments.home), Path(arguments.file))
    return _told(f"{arguments.file} has", done)


def _restore(arguments: argparse.Namespace, _platform: "Platform | None") -> int:
    from minimind_platform.restore import restore
    from minimind_platform.settings import Settings

    settings = Settings.load(home=arguments.home)
    return _told(f"Restored into {settings.home}:", restore(settings, Path(arguments.file)))


def _told(begin: str, done: "Done") -> int:
    databases = ", ".join(done.databases) or "none"
    print(f"{begin} {done.files:,} files, {done.bytes / 1e6:,.1f} MB; databases: {databases}.")
    for note in done.notes:
        print(note)
    return 0
