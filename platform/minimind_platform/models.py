"""Registered models: their versions, and where the files of a version are.

Models(tracking, settings).all()
Models(tracking, settings).files("minimind-sft", 3)
"""

from pathlib import Path
from typing import Any

from minimind_platform.errors import NotFoundError
from minimind_platform.settings import Settings
from minimind_platform.tracking_client import TrackingClient, TrackingError
from minimind_platform.views import ModelVersion
from trainer.names import Tag

PAGE = 1_000
MOST_VERSIONS = 10_000
WAYS_OUT = "The page Models and `minimind models` list the versions that there are."


class Models:
    """Reads the registry. Nothing is remembered: a page shows what is there now."""

    def __init__(self, tracking: TrackingClient, settings: Settings) -> None:
        self._tracking = tracking
        self._settings = settings

    def all(self) -> list[ModelVersion]:
        """All versions, newest first."""
        return self._versions(None)

    def of_task(self, task_id: str) -> list[ModelVersion]:
        """The checkpoints of one task, newest first."""
        return self._versions(f"run_id = '{task_id}'")

    def version_of_alias(self, name: str, alias: str) -> int:
        """The version that an alias points to now."""
        try:
            found = self._tracking.get("registered-models/alias", name=name, alias=alias)
        except (NotFoundError, TrackingError):
            raise NotFoundError(f"There is no model {name}@{alias}.", WAYS_OUT) from None
        return int(found["model_version"]["version"])

    def files(self, name: str, version: int) -> Path:
        """The folder with a version's files."""
        folder = self.local_folder(name, version)
        if folder is None:
            raise NotFoundError(f"The files of {name} version {version} are not on this machine.")
        return folder

    def local_folder(self, name: str, version: int) -> Path | None:
        """As `files`, or None when they are elsewhere; NotFoundError if there is no such version."""
        try:
            found = self._tracking.get("model-versions/get", name=name, version=str(version))["model_version"]
        except (NotFoundError, TrackingError):
            raise NotFoundError(f"There is no version {version} of model {name}.", WAYS_OUT) from None
        scheme, _, rest = found.get("source", "").partition("runs:/")
        run_id, _, inside = rest.partition("/")
        if scheme or not inside or not run_id.isalnum():
            return None
        tops = [*self._settings.artifacts_dir.glob(f"*/{run_id}/artifacts"), self._settings.task_dir(run_id)]
        # Whoever registers a version chooses this text, so it must not lead out of the run's own folders.
        found = ((top.resolve(), (top / inside).resolve()) for top in tops)
        return next((path for top, path in found if path.is_relative_to(top) and path.is_dir()), None)

    def _versions(self, condition: str | None) -> list[ModelVersion]:
        order = "creation_timestamp DESC"
        rows = self._pages("model-versions/search", "model_versions", filter=condition, order_by=order)
        if not rows:
            return []
        aliases = self._aliases()
        versions = [_version(row, aliases.get((row["name"], str(row["version"])), [])) for row in rows]
        return sorted(versions, key=lambda v: (-v.created_at, v.name, -v.version))

    def _aliases(self) -> dict[tuple[str, str], list[str]]:
        """Aliases by name and version: a search for versions does not tell them."""
        found: dict[tuple[str, str], list[str]] = {}
        for model in self._pages("registered-models/search", "registered_models"):
            for item in model.get("aliases", []):
                found.setdefault((model["name"], str(item["version"])), []).append(item["alias"])
        return {key: sorted(names) for key, names in found.items()}

    def _pages(self, call: str, field: str, **params: Any) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        token = None
        while len(rows) < MOST_VERSIONS:
            answer = self._tracking.get(call, max_results=PAGE, page_token=token, **params)
            rows += answer.get(field, [])
            token = answer.get("next_page_token")
            if not token:
                break
        return rows


def _version(row: dict[str, Any], aliases: list[str]) -> ModelVersion:
    tags = {tag["key"]: tag["value"] for tag in row.get("tags", [])}
    return ModelVersion(
        name=row["name"],
        version=int(row["version"]),
        task_id=row.get("run_id", ""),
        type=tags.get(Tag.TYPE, ""),
        step=_whole(tags.get(Tag.STEP)),
        loss=_number(tags.get(Tag.LOSS)),
        eval_loss=_number(tags.get(Tag.EVAL_LOSS)),
        bytes=_whole(tags.get(Tag.BYTES)),
        created_at=row["creation_timestamp"] / 1000,
        aliases=aliases,
        parameters=_whole(tags.get(Tag.PARAMETERS)),
        sha256=tags.get(Tag.SHA256, ""),
        base=tags.get(Tag.BASE, ""),
        lora_rank=_whole(tags.get(Tag.LORA_RANK)),
        eval_reward=_number(tags.get(Tag.EVAL_REWARD)),
    )


def _number(text: str | None) -> float | None:
    """A tag as a number; people may write tags too, so it can be anything."""
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if value == value and abs(value) != float("inf") else None


def _whole(text: str | None) -> int:
    return int(_number(text) or 0)
