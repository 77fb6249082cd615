"""What a training may start from: nothing, a registered model, a Hugging Face folder or a MiniMind weight file.

base = Weights(settings, paths, models).base("pretrain", hidden_size=768, moe=False)
base.setting, base.folder
"""

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from minimind_platform.errors import NotFoundError, PathError
from minimind_platform.models import Models
from minimind_platform.paths import Paths
from minimind_platform.settings import Settings
from minimind_platform.views import WeightFile
from trainer.base_sizes import is_adapter
from trainer.checkpoints import keep_for_others
from trainer.hub_files import HUB_FOLDER

MODEL = re.compile(r"models:/(?P<name>[^/@]+)(?:/(?P<version>\d{1,9})|@(?P<alias>[A-Za-z0-9._-]+))$")
PREFIX = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
WEIGHT_NAME = re.compile(r"(?P<prefix>.+?)_(?P<hidden>\d{1,5})(?P<moe>_moe)?\.pth$")
WAYS_OUT = "Choose a registered model or a weight file."


@dataclass(frozen=True)
class Base:
    """Weights to start from, checked."""

    setting: str
    """As it goes into the task's settings: absolute, and a version instead of an alias."""
    path: Path | None = None
    """Its Hugging Face folder or weight file, if that is on this machine."""

    @property
    def folder(self) -> Path | None:
        """Its Hugging Face folder, if it has one."""
        return self.path if self.path is not None and self.path.is_dir() else None


class Weights:
    """Finds base weights and lists weight files."""

    def __init__(self, settings: Settings, paths: Paths, models: Models) -> None:
        self._settings = settings
        self._out = settings.out_dir
        self._paths = paths
        self._models = models

    def base(self, text: str, hidden_size: int, moe: bool) -> Base:
        """Find what `from_weight` names.

        Raises:
            NotFoundError: there is no such model, folder or file.
            PathError: the path is not allowed or is no model.
            TrackingUnavailableError: a registered model was named and the registry does not answer.
        """
        if text in ("none", ""):
            return Base("none")
        if text.startswith("models:/"):
            return self._registered(text)
        if PREFIX.match(text) and not text.endswith(".pth"):
            return self._prefix(text, hidden_size, moe)
        try:
            return self._path(text)
        except OSError as error:  # such as a name that is too long
            raise PathError(f"{text!r} cannot be read: {error.strerror}.", WAYS_OUT) from None

    def keep(self, base: Base) -> None:
        """Have a checkpoint stay for a task that will start from it. A running task removes its older checkpoints, and
        the model versions that were made of them.

        Raises:
            NotFoundError: it was removed since it was found.
        """
        if base.path is None:
            return
        folder, artifacts = base.path, self._settings.artifacts_dir.resolve()
        if folder.is_relative_to(artifacts):  # experiment/run/artifacts/checkpoints/step_000100
            _, run_id, _, *inside = folder.relative_to(artifacts).parts
            folder = self._settings.task_dir(run_id).joinpath(*inside)
        with suppress(FileNotFoundError):
            keep_for_others(folder)
        if not base.path.exists():
            raise NotFoundError(f"{base.setting} has just been removed; its task has newer checkpoints.", WAYS_OUT)

    def files(self) -> list[WeightFile]:
        """The .pth files in out/ and what was fetched into out/hub/, newest first."""
        found = [*self._out.glob("*.pth"), *(self._out / Path(HUB_FOLDER).name).glob("*/*.pth")]
        files = [_weight_file(path, self._out) for path in found if path.is_file()]
        return sorted([*files, *self._folders()], key=lambda f: -f.modified_at)

    def _folders(self) -> Iterator[WeightFile]:
        """Hugging Face models in out/hub/."""
        for config in (self._out / Path(HUB_FOLDER).name).glob("*/config.json"):
            if sizes := [path.stat().st_size for path in config.parent.glob("*.safetensors")]:
                yield _weight_folder(config, sum(sizes), self._out)

    def file(self, name: str) -> Path:
        """One of `files`, by name."""
        for weight in self.files():
            if weight.name == name:
                return weight.path
        raise NotFoundError(f"There is no weight file {name!r} in out/.")

    def _registered(self, text: str) -> Base:
        match = MODEL.match(text)
        if not match:
            raise PathError(f"{text!r} names no model; write models:/name/version or models:/name@alias.")
        name = match["name"]
        version = int(match["version"]) if match["version"] else self._models.version_of_alias(name, match["alias"])
        return Base(f"models:/{name}/{version}", self._models.local_folder(name, version))

    def _prefix(self, prefix: str, hidden_size: int, moe: bool) -> Base:
        path = self._out / f"{prefix}_{hidden_size}{'_moe' if moe else ''}.pth"
        if path.is_file():
            return self._path(str(path))
        if self._is_folder(prefix):
            return self._path(prefix)
        have = ", ".join(f.name for f in self.files() if f.name.startswith(prefix))
        train = " Train it first with type pretrain." if prefix == "pretrain" else ""
        there = f" There is {have}, of another size." if have else train
        raise NotFoundError(f"There is no {path.name} in out/.{there}", WAYS_OUT)

    def _is_folder(self, text: str) -> bool:
        try:
            return self._paths.resolve(text).is_dir()
        except PathError:
            return False

    def _path(self, text: str) -> Base:
        path = self._paths.resolve(text)
        if path.is_dir():
            if not (path / "config.json").is_file():
                if is_adapter(path):
                    raise PathError(
                        f"The folder {text!r} holds adapters that do not tell their base.",
                        "Merge them into it first: minimind merge --base BASE --lora FOLDER --out NEW.",
                    )
                raise PathError(f"The folder {text!r} holds no model: it has no config.json.", WAYS_OUT)
            return Base(str(path), path)
        if not path.exists():
            raise NotFoundError(f"There is no {text!r}.", WAYS_OUT)
        if path.suffix != ".pth" or not path.is_file():
            raise PathError(f"{text!r} is neither a Hugging Face folder nor a .pth file.", WAYS_OUT)
        return Base(str(path), path)


def _weight_file(path: Path, out: Path) -> WeightFile:
    match, status = WEIGHT_NAME.match(path.name), path.stat()
    return WeightFile(
        name=str(path.relative_to(out)),
        path=path,
        bytes=status.st_size,
        modified_at=status.st_mtime,
        hidden_size=int(match["hidden"]) if match else None,
        moe=bool(match and match["moe"]),
        lora=is_adapter(path),
    )


def _weight_folder(config: Path, size: int, out: Path) -> WeightFile:
    try:
        told = json.loads(config.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        told = {}
    told = told if isinstance(told, dict) else {}
    hidden = told.get("hidden_size")
    return WeightFile(
        name=str(config.parent.relative_to(out)),
        path=config.parent,
        bytes=size,
        modified_at=config.stat().st_mtime,
        hidden_size=hidden if isinstance(hidden, int) else None,
        moe=bool(told.get("num_experts")),
    )
