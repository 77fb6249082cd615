"""What lies ready on this installation: models, weights, data sets, and the jobs that look into them or fetch them."""

from pathlib import Path
from typing import Any

from minimind_platform.data_jobs import DataJobs
from minimind_platform.datasets import DataFiles
from minimind_platform.devices import gpus
from minimind_platform.jobs import Jobs
from minimind_platform.models import Models
from minimind_platform.paths import Paths
from minimind_platform.settings import Settings
from minimind_platform.tracking_client import TrackingClient
from minimind_platform.views import Dataset, HubEntry, Job, ModelVersion, TrainingType, WeightFile
from minimind_platform.weights import Weights
from trainer.configs import TRAINING_TYPES
from trainer.fields import RewardKind, config_fields, reward_kinds
from trainer.presets import PRESETS, Preset
from trainer.starts import starts_of


class Catalogue:
    """The part of `Platform` that knows no tasks."""

    def __init__(self, settings: Settings, tracking: TrackingClient) -> None:
        self._paths = Paths(settings)
        self._models = Models(tracking, settings)
        self._weights = Weights(settings, self._paths, self._models)
        self._data = DataFiles(self._paths)
        self._jobs = Jobs(settings)
        self._data_jobs = DataJobs(settings, self._paths, self._jobs)

    def models(self) -> list[ModelVersion]:
        """Versions of all registered models, newest first."""
        return self._models.all()

    def weight_files(self) -> list[WeightFile]:
        """MiniMind weight files in out/, newest first."""
        return self._weights.files()

    def version_files(self, name: str, version: int) -> Path:
        """The folder with the files of a model version."""
        return self._models.files(name, version)

    def weight_file(self, name: str) -> Path:
        """A MiniMind weight file by its name."""
        return self._weights.file(name)

    def datasets(self) -> list[Dataset]:
        """The data files in dataset/ and the data roots."""
        out = self._paths.roots[1]
        return self._data.listing([root for root in self._paths.roots if root != out])

    def data_stats(self, path: str, type: str = "", max_seq_len: int = 0, again: bool = False) -> Job:  # noqa: A002
        """Statistics of a data file, worked out in the background and kept until the file changes.

        Args:
            path: as in data_path.
            type: training type to read it for; "" for the format that its first rows have.
            max_seq_len: where rows are cut; 0 for the default.
            again: begin anew if it failed or was cancelled.
        """
        return self._data_jobs.stats(path, type, max_seq_len, again)

    def data_preview(
        self,
        path: str,
        type: str = "",  # noqa: A002
        max_seq_len: int = 0,
        start: int = 0,
        rows: int = 5,
    ) -> dict[str, Any]:
        """Rows of a data file as a training sees them: their text with the template, by what counts for the loss."""
        return self._data_jobs.preview(path, type, max_seq_len, start, rows)

    def hub_entries(self) -> list[HubEntry]:
        """What can be fetched from the Hugging Face hub. Asks nobody."""
        return self._data_jobs.entries()

    def hub_fetch(self, name: str) -> Job:
        """Fetch something from the hub in the background; goes on with what an earlier try has brought."""
        return self._data_jobs.fetch(name)

    def jobs(self, kind: str = "") -> list[Job]:
        """Background jobs, newest first, without their results."""
        return self._jobs.all(kind)

    def job(self, id: str) -> Job:  # noqa: A002
        """One background job with its result."""
        return self._jobs.get(id)

    def cancel_job(self, id: str) -> Job:  # noqa: A002
        """Ask a background job to end."""
        return self._jobs.cancel(id)

    def remove_job(self, id: str) -> None:  # noqa: A002
        """Forget a background job that has ended, its result too."""
        self._jobs.remove(id)

    def devices(self) -> list[str]:
        """Choices of the setting `device` on this machine."""
        found = [gpu.slot for gpu in gpus()]
        return ["auto", "cpu", *(["cuda"] if found else []), *found]

    def training_types(self) -> dict[str, TrainingType]:
        """The training types by name, with their settings."""
        types = {}
        for name, cls in TRAINING_TYPES.items():
            fields = config_fields(cls)
            defaults = {field.name: field.default for field in fields if not field.required}
            about = (cls.__doc__ or "").strip()
            facts = (name, cls.title, about, cls.data_format, fields, defaults)
            types[name] = TrainingType(*facts, needs_base=cls.needs_base, starts=starts_of(name))
        return types

    def reward_kinds(self) -> dict[str, RewardKind]:
        """The kinds of rewards that a list of rewards can hold, by name."""
        return reward_kinds()

    def presets(self) -> dict[str, Preset]:
        """Model sizes to start from, by name."""
        return dict(PRESETS)
