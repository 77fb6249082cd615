"""Removes runs and model versions from MLflow for good.

    runs = RunRemover(settings, tracking)
    runs.remove_versions(run_id)
    runs.remove(run_id)        # "" or what remains, and why

MLflow's own `gc` is not used: beside the runs that it is told it removes every deleted experiment with all of its runs.
Its REST interface hides runs only, so the rows of our own server are removed in its database, by the same function that
`gc` calls. Importing that takes seconds and 150 MB, so this belongs into a process of its own.
"""

from collections.abc import Collection
from typing import Any

from minimind_platform.errors import NotFoundError
from minimind_platform.settings import Settings
from minimind_platform.tracking_client import TrackingClient, TrackingError

IDS_A_CALL = 50
PAGE = 1_000


def versions_of(tracking: TrackingClient, run_ids: Collection[str]) -> dict[str, list[tuple[str, str]]]:
    """Model versions of runs: names and numbers, by run.

    Raises:
        TrackingUnavailableError: the tracking server does not answer.
    """
    found: dict[str, list[tuple[str, str]]] = {}
    ids = sorted(set(run_ids))
    for begin in range(0, len(ids), IDS_A_CALL):
        listed = ", ".join(f"'{run_id}'" for run_id in ids[begin : begin + IDS_A_CALL])
        token = None
        while True:
            answer = tracking.get(
                "model-versions/search", max_results=PAGE, page_token=token, filter=f"run_id IN ({listed})"
            )
            for row in answer.get("model_versions", []):
                found.setdefault(row["run_id"], []).append((row["name"], str(row["version"])))
            token = answer.get("next_page_token")
            if not token:
                break
    return found


class RunRemover:
    """Each call may be made again: what is gone already is no error."""

    def __init__(self, settings: Settings, tracking: TrackingClient) -> None:
        self._settings = settings
        self._tracking = tracking
        self._opened: Any = None

    def remove_versions(self, run_id: str) -> None:
        """Remove the model versions of a run, and registered models that have none left and nothing written by people.

        Raises:
            TrackingUnavailableError: the tracking server does not answer.
        """
        for name, version in versions_of(self._tracking, [run_id]).get(run_id, []):
            self._gone_is_fine("DELETE", "model-versions/delete", name=name, version=version)
            self._remove_if_empty(name)

    def remove(self, run_id: str) -> str:
        """Remove a run with its metrics, params, tags and artifacts.

        Returns:
            "", or what could not be removed, and who can.

        Raises:
            TrackingUnavailableError: the tracking server does not answer.
        """
        try:
            run = self._tracking.get("runs/get", run_id=run_id)["run"]
        except NotFoundError:
            return ""
        if run["info"].get("lifecycle_stage") != "deleted":
            self._gone_is_fine("POST", "runs/delete", run_id=run_id)
        artifacts = self._tracking.delete_artifacts(run["info"].get("artifact_uri", ""))
        if self._settings.tracking_uri and not self._settings.tracking_database_url:
            what = "its rows" if artifacts else "its rows and artifacts"
            return (
                f"{what} in {self._settings.tracking_uri}: whoever runs that server removes them with `mlflow gc "
                f"--run-ids {run_id}`"
            )
        self._store()._hard_delete_run(run_id)
        return ""

    def _remove_if_empty(self, name: str) -> None:
        model = self._tracking.get("registered-models/get", name=name)["registered_model"]
        left = self._tracking.get("model-versions/search", max_results=1, filter=f"name = '{name}'")
        if not left.get("model_versions") and not model.get("description") and not model.get("tags"):
            self._gone_is_fine("DELETE", "registered-models/delete", name=name)

    def _gone_is_fine(self, method: str, call: str, **body: str) -> None:
        try:
            self._tracking.send(method, call, **body)
        except NotFoundError:
            return
        except TrackingError as error:
            if error.code != "RESOURCE_DOES_NOT_EXIST":
                raise

    def _store(self) -> Any:
        """The database behind our own tracking server."""
        if self._opened is None:
            from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

            self._opened = SqlAlchemyStore(self._settings.tracking_database, str(self._settings.artifacts_dir))
        return self._opened
