"""The part of the platform in memory that knows models, weights and training types."""

from pathlib import Path

from minimind_platform.errors import NotFoundError, TrackingUnavailableError
from minimind_platform.settings import Settings
from minimind_platform.views import Dataset, ModelVersion, TrainingType, WeightFile
from trainer.configs import TRAINING_TYPES
from trainer.fields import RewardKind, config_fields, reward_kinds
from trainer.presets import PRESETS, Preset
from trainer.starts import starts_of


class FakeCatalogue:
    """Answers as `minimind_platform.catalogue.Catalogue` does."""

    settings: Settings
    versions: list[ModelVersion]
    files: list[WeightFile]
    data: list[Dataset]
    tracking: bool

    def models(self) -> list[ModelVersion]:
        self._need_tracking()
        return self.versions

    def weight_files(self) -> list[WeightFile]:
        return self.files

    def version_files(self, name: str, version: int) -> Path:
        if not any((v.name, v.version) == (name, version) for v in self.versions):
            raise NotFoundError(f"There is no version {version} of {name}.")
        return self.settings.home / "version"

    def weight_file(self, name: str) -> Path:
        for file in self.files:
            if file.name == name:
                return file.path
        raise NotFoundError(f"There is no weight file {name!r}.")

    def datasets(self) -> list[Dataset]:
        return self.data

    def devices(self) -> list[str]:
        return ["auto", "cpu", "cuda:0"]

    def training_types(self) -> dict[str, TrainingType]:
        types = {}
        for name, cls in TRAINING_TYPES.items():
            fields = config_fields(cls)
            defaults = {field.name: field.default for field in fields if not field.required}
            about = (cls.__doc__ or "").strip()
            types[name] = TrainingType(
                name, cls.title, about, cls.data_format, fields, defaults, cls.needs_base, starts_of(name)
            )
        return types

    def reward_kinds(self) -> dict[str, RewardKind]:
        return reward_kinds()

    def presets(self) -> dict[str, Preset]:
        return PRESETS

    def _need_tracking(self) -> None:
        if not self.tracking:
            raise TrackingUnavailableError
