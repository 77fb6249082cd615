"""A registered model taken out of the platform: its Hugging Face folder, without what only a resume needs.

platform.best_model(task.id).export("out/best")
"""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from minimind_platform.errors import ConflictError, NotFoundError, TrackingUnavailableError
from minimind_platform.views import ModelVersion

if TYPE_CHECKING:
    from minimind_platform.service import Platform

MANIFEST = "manifest.json"
"""Of a checkpoint; it tells of files that are not taken along."""


@dataclass(frozen=True)
class Model:
    """A version of a registered model."""

    version: ModelVersion
    _platform: "Platform"

    @property
    def uri(self) -> str:
        """As `from_weight` takes it."""
        return f"models:/{self.version.name}/{self.version.version}"

    def export(self, folder: str | Path, replace: bool = False) -> Path:
        """Copy it: weights, config and tokenizer, or adapters with the config of their base.

        Args:
            folder: made with its parents; it appears complete or not at all.
            replace: whether a folder that is there already is replaced.

        Raises:
            ConflictError: there is such a folder with something in it.
        """
        target = Path(folder).expanduser().absolute()
        if target.exists() and not replace and (not target.is_dir() or any(target.iterdir())):
            raise ConflictError(f"{target} is there already.", "Choose another folder, or export with replace=True.")
        target.parent.mkdir(parents=True, exist_ok=True)
        with self._files() as source, tempfile.TemporaryDirectory(dir=target.parent, prefix=".export-") as made:
            whole = Path(made) / "model"
            whole.mkdir()
            for file in source.iterdir():
                if file.is_file() and file.name != MANIFEST:
                    shutil.copy2(file, whole / file.name)
            if target.is_dir():
                shutil.rmtree(target)
            whole.rename(target)
        return target

    @contextmanager
    def _files(self) -> Iterator[Path]:
        """Its folder on this machine, or a copy from the artifact store while it is used."""
        found = self._platform._models.local_folder(self.version.name, self.version.version)
        if found:
            yield found
            return
        with tempfile.TemporaryDirectory(prefix="minimind-") as folder:
            yield self._fetched(folder)

    def _fetched(self, folder: str) -> Path:
        from mlflow.artifacts import download_artifacts
        from mlflow.exceptions import MlflowException

        server, wanted = self._platform.settings.tracking, {"name": self.version.name, "version": self.version.version}
        source = self._platform._tracking.get("model-versions/get", **wanted)["model_version"]["source"]
        try:
            return Path(download_artifacts(artifact_uri=source, dst_path=folder, tracking_uri=server))
        except (MlflowException, OSError) as error:
            raise TrackingUnavailableError(f"{self.uri} cannot be fetched from {server}: {str(error)[:200]}") from None


def best_of(versions: list[ModelVersion]) -> ModelVersion:
    """Of the checkpoints of one task the one with the highest reward or the lowest held-out loss; else the last.

    Raises:
        NotFoundError: there is none.
    """
    if not versions:
        raise NotFoundError("No checkpoint of this task is registered in MLflow yet.")
    measured = [version for version in versions if _badness(version) is not None]
    return min(measured, key=lambda v: (_badness(v), -v.step)) if measured else max(versions, key=lambda v: v.step)


def _badness(version: ModelVersion) -> float | None:
    return -version.eval_reward if version.eval_reward is not None else version.eval_loss
