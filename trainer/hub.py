"""Brings files from the Hugging Face hub or a mirror of it, whole and verified, and goes on with what was begun.

fetch(ITEMS["pretrain_t2t_mini"], home, progress=print)

The hub is asked once which files there are, how large, and with which checksum, at one commit. Each file is written to
`.NAME.KEY.part` beside its place, KEY being part of its checksum, and only one with the right checksum gets its name.
The library's own `hf_hub_download` (2.4) throws a half file away when its process ends; its `http_get` does not, so
that one is used. Nothing is unpickled or executed, and no account's token is sent.
"""

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from trainer.hub_client import HubError, RemoteFile, remote_files, told
from trainer.hub_files import ITEMS, RECORD, HubItem, similar

CHUNK = 1 << 20
SPARE = 200_000_000
"""Bytes of the disk that stay free."""


@dataclass(frozen=True)
class Fetched:
    """One file that is in place, verified."""

    name: str
    path: Path
    bytes: int
    sha256: str
    known: bool
    """It was there already."""


Progress = Callable[[int, int], None]
"""Called with bytes done and bytes in all."""


def item_of(name: str) -> HubItem:
    """The thing of this name.

    Raises:
        HubError: there is none; names similar ones.
    """
    if item := ITEMS.get(name):
        return item
    close = similar(name)
    hint = f"Did you mean {' or '.join(close)}?" if close else "`minimind data fetch` lists what there is."
    raise HubError(f"Nothing is known by the name {name!r}.", hint)


def fetch(
    item: HubItem, home: Path, replace: bool = False, progress: Progress = lambda _done, _total: None
) -> list[Fetched]:
    """Bring all files of one thing.

    Args:
        item: what to bring.
        home: folder with `dataset/` and `out/`.
        replace: overwrite a file of the same name that is not the hub's.
        progress: called as bytes come in; those of an earlier try count as done.

    Raises:
        HubError: no network, not on the hub, another file in the way, no space, or a wrong checksum.
    """
    with told(item):
        files = remote_files(item)
        folder = _folder(home, item)
        ready = [_in_place(file, folder, replace) for file in files]
        missing = [file for file, there in zip(files, ready, strict=True) if there is None]
        _need_space(folder, missing)
        total = sum(file.bytes for file in files)
        done = sum(there.bytes for there in ready if there)
        fetched = [there for there in ready if there]
        progress(done, total)
        for file in missing:
            before = done
            fetched.append(_bring(file, folder, lambda count, before=before: progress(before + count, total)))
            done += file.bytes
        if len(item.patterns) > 1:
            _write_record(folder, item, fetched)
    order = {file.name: place for place, file in enumerate(files)}
    return sorted(fetched, key=lambda one: order[one.name])


def _folder(home: Path, item: HubItem) -> Path:
    """The folder that the files go to, made if it is not there."""
    folder = home / item.folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise HubError(f"{folder} cannot be made: {error.strerror}.", "Choose another folder with --home.") from None
    return folder


def _in_place(file: RemoteFile, folder: Path, replace: bool) -> Fetched | None:
    """The file, if it is there with the right checksum."""
    path = folder / file.name
    if not os.path.lexists(path):
        return None
    if path.is_file() and path.stat().st_size == file.bytes and (sha256 := _verified(file, path)):
        return Fetched(file.name, path, file.bytes, sha256, known=True)
    if not replace:
        raise HubError(f"{path} is another file than the hub's.", "Move it away, or overwrite it with --replace.")
    return None


def _need_space(folder: Path, files: list[RemoteFile]) -> None:
    parts = [folder / f".{file.name}.{file.key}.part" for file in files]
    begun = sum(part.stat().st_size for part in parts if part.is_file())
    need, free = sum(file.bytes for file in files) - begun + SPARE, shutil.disk_usage(folder).free
    if files and need > free:
        raise HubError(
            f"{need / 1e9:,.1f} GB are needed in {folder}, and {free / 1e9:,.1f} GB are free.",
            "Make room, or make the folder a link to a larger disk.",
        )


def _bring(file: RemoteFile, folder: Path, count: Callable[[int], None]) -> Fetched:
    """One file, from where an earlier try ended."""
    from huggingface_hub import constants
    from huggingface_hub.file_download import http_get

    constants.DOWNLOAD_CHUNK_SIZE = CHUNK  # ten times as much is the library's, too coarse for slow lines
    path, part = folder / file.name, folder / f".{file.name}.{file.key}.part"
    with _only_one(part, path) as writer:
        for old in folder.glob(f".{file.name}.*.part"):
            if old != part:
                old.unlink(missing_ok=True)  # of a file that has changed on the hub since
        begun = writer.seek(0, os.SEEK_END)
        if begun > file.bytes:
            writer.truncate(begun := 0)
            writer.seek(0)
        count(begun)
        http_get(
            file.url, writer, resume_size=begun, expected_size=file.bytes, tqdm_class=_bar(begun, count),
            headers={"user-agent": "minimind-platform"},
        )  # fmt: skip
        os.fsync(writer.fileno())
        if not (sha256 := _verified(file, part)):
            part.unlink()
            raise HubError(f"{file.name} came with a wrong checksum and was removed.", "Fetch it again.")
        part.replace(path)
    return Fetched(file.name, path, file.bytes, sha256, known=False)


@contextmanager
def _only_one(part: Path, path: Path) -> Iterator[BinaryIO]:
    """The half file, held against other processes."""
    with part.open("r+b" if part.exists() else "w+b", buffering=0) as writer:
        try:
            fcntl.flock(writer, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise HubError(f"{path.name} is being fetched by another process already.", "Wait for that one.") from None
        yield writer  # type: ignore[misc]


def _bar(begun: int, count: Callable[[int], None]) -> type:
    """A progress bar, as the library wants one, that only tells the sum."""

    class Bar:
        def __init__(self, *_args: Any, **_options: Any) -> None:
            self.done = begun

        def __enter__(self) -> "Bar":
            return self

        def __exit__(self, *_error: object) -> None:
            pass

        def update(self, more: int | None = 1) -> None:
            self.done += more or 0
            count(self.done)

    return Bar


def _verified(file: RemoteFile, path: Path) -> str:
    """The SHA-256 of a file whose checksum is the hub's; "" if it is another."""
    sha256, git = hashlib.sha256(), hashlib.sha1(f"blob {file.bytes}\0".encode(), usedforsecurity=False)
    with path.open("rb") as content:
        while block := content.read(1 << 22):
            sha256.update(block)
            if not file.sha256:
                git.update(block)
    right = sha256.hexdigest() == file.sha256 if file.sha256 else git.hexdigest() == file.git_sha1
    return sha256.hexdigest() if right else ""


def _write_record(folder: Path, item: HubItem, files: list[Fetched]) -> None:
    """What was fetched, with its checksums."""
    content = {"name": item.name, "repo": item.repo, "sha256": {file.name: file.sha256 for file in files}}
    part = folder / f"{RECORD}.part"
    part.write_text(json.dumps(content, indent=1), encoding="utf-8")
    part.replace(folder / RECORD)
