"""Asks the Hugging Face hub, or a mirror of it, which files there are, and says what its errors mean.

with told(item):
    files = remote_files(item)
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from trainer.errors import TrainerError
from trainer.hub_files import HubItem

MIRROR = "https://hf-mirror.com"
ASK_SECONDS = 20


class HubError(TrainerError):
    """Something could not be fetched."""


@dataclass(frozen=True)
class RemoteFile:
    """One file as the hub describes it."""

    name: str
    bytes: int
    url: str
    sha256: str
    """Of a file in large file storage, else ""."""
    git_sha1: str
    """Git's own checksum, of a small file."""

    @property
    def key(self) -> str:
        """Tells this content from any other of the same name."""
        return (self.sha256 or self.git_sha1)[:12]


def remote_files(item: HubItem) -> list[RemoteFile]:
    """The files of one thing, at the newest commit. One request."""
    from huggingface_hub import HfApi, errors, hf_hub_url

    try:
        hub = HfApi(token=False)
        ask = hub.dataset_info if item.repo_type == "dataset" else hub.model_info
        info = ask(item.repo, files_metadata=True, timeout=ASK_SECONDS)
    except errors.HfHubHTTPError:
        raise
    except (ValueError, KeyError, TypeError):  # a page of some other site, or of a proxy that wants a login
        raise HubError(f"{endpoint()} does not answer as a hub does.", _mirror_hint(item)) from None
    if not info.sha or info.siblings is None:
        raise HubError(f"{endpoint()} does not answer as a hub does.", _mirror_hint(item))
    files = []
    for sibling in info.siblings:
        name = sibling.rfilename
        # A name with a slash is in a folder of the repository, or means to lead out of ours.
        if Path(name).name != name or not any(fnmatchcase(name, pattern) for pattern in item.patterns):
            continue
        url = hf_hub_url(item.repo, name, repo_type=item.repo_type, revision=info.sha)
        size = sibling.lfs.size if sibling.lfs else sibling.size
        sha256 = sibling.lfs.sha256 if sibling.lfs else ""
        if size is None or not (sha256 or sibling.blob_id):
            raise HubError(f"{endpoint()} tells neither size nor checksum of {name}.", _mirror_hint(item))
        files.append(RemoteFile(name, size, url, sha256, sibling.blob_id or ""))
    _check_complete(item, files)
    return files


def endpoint() -> str:
    """The hub or mirror that is asked: HF_ENDPOINT, else Hugging Face's own."""
    from huggingface_hub import constants

    return constants.ENDPOINT


def _check_complete(item: HubItem, files: list[RemoteFile]) -> None:
    names = {file.name for file in files}
    if len(item.patterns) == 1:
        missing = set(item.patterns) - names
    else:
        missing = {"tokenizer.json"} - names
        if item.kind == "weights":
            missing |= {"config.json"} - names
            missing |= set() if any(name.endswith(".safetensors") for name in names) else {"model.safetensors"}
    if missing:
        what = ", ".join(sorted(missing))
        raise HubError(f"{item.repo} on {endpoint()} has no {what} any more.", "It may have been renamed or withdrawn.")


@contextmanager
def told(item: HubItem) -> Iterator[None]:
    """Say what the library's errors mean."""
    import httpx2
    from huggingface_hub import errors

    try:
        yield
    except errors.OfflineModeIsEnabled:
        raise HubError("HF_HUB_OFFLINE is set, so nothing can be fetched.", "Unset it for this command.") from None
    except (errors.RepositoryNotFoundError, errors.EntryNotFoundError, errors.RevisionNotFoundError):
        raise HubError(f"{item.repo} is not on {endpoint()}.", _mirror_hint(item)) from None
    except errors.HfHubHTTPError as error:
        status = error.response.status_code
        raise HubError(f"{endpoint()} answers with {status}.", f"Try later. {_mirror_hint(item)}") from None
    except httpx2.HTTPError as error:
        reason = str(error) or type(error).__name__
        raise HubError(f"{endpoint()} cannot be reached: {reason}.", _mirror_hint(item)) from None
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            hint = "Make room and fetch again; it goes on where it stopped."
            raise HubError(f"The disk under {item.folder}/ is full.", hint) from None
        if error.errno is None:  # the library's word for a file that ended early
            raise HubError(f"{item.name} came incomplete.", "Fetch again; it goes on where it stopped.") from None
        raise HubError(f"{error.filename or item.folder} cannot be written: {error.strerror}.") from None


def _mirror_hint(item: HubItem) -> str:
    """How another source is taken, unless one is already."""
    if "HF_ENDPOINT" in os.environ:
        return f"HF_ENDPOINT is {os.environ['HF_ENDPOINT']}; is it right?"
    return f"Check the network, or take a mirror: HF_ENDPOINT={MIRROR} minimind data fetch {item.name}"
