"""The run in MLflow under which the trials of a sweep are nested.

runs = ParentRuns(tracking)
run_id = runs.create(experiment_id, name, spec)
"""

import json
import time
from typing import Any

from minimind_platform.errors import NotFoundError, PlatformError
from minimind_platform.submits import PARAM_LIMIT, PARAMS_A_CALL, user
from minimind_platform.sweeps.spec import SweepSpec
from minimind_platform.sweeps.views import Sweep, SweepState, TrialState
from minimind_platform.tracking_client import TrackingClient
from trainer.names import Metric, RunStatus, Tag

ARTIFACT = "search_space.json"
STATUS = {
    SweepState.RUNNING: RunStatus.RUNNING,
    SweepState.PAUSED: RunStatus.RUNNING,
    SweepState.STOPPED: RunStatus.KILLED,
    SweepState.FINISHED: RunStatus.FINISHED,
}


class ParentRuns:
    """Writes the runs of sweeps."""

    def __init__(self, tracking: TrackingClient) -> None:
        self._tracking = tracking

    def create(self, experiment_id: str, name: str, spec: SweepSpec) -> tuple[str, str]:
        """Make the run, and return its id, and where its artifacts are.

        Raises:
            TrackingUnavailableError: the tracking server does not answer; nothing was made.
        """
        tags = _tags({Tag.KIND: "sweep", Tag.TYPE: spec.type, "mlflow.user": user()})
        facts = {"experiment_id": experiment_id, "start_time": int(time.time() * 1000), "tags": tags}
        run = self._tracking.post("runs/create", run_name=name or f"{spec.type} sweep", **facts)["run"]
        return run["info"]["run_id"], run["info"].get("artifact_uri", "")

    def describe(self, run_id: str, artifact_uri: str, name: str, spec: SweepSpec) -> None:
        """Give it its name, what was decided as parameters, and the search space as an artifact."""
        self._tracking.post("runs/update", run_id=run_id, run_name=name)
        texts = {f"search.{param.name}": param.text for param in spec.params}
        texts |= {name: str(value) for name, value in spec.options.items()}
        texts["objective"] = ", ".join(f"{o.direction} {o.metric} ({o.taken})" for o in spec.objectives)
        params = [{"key": key, "value": text[:PARAM_LIMIT]} for key, text in texts.items()]
        self._tracking.post("runs/log-batch", run_id=run_id, params=params[:PARAMS_A_CALL])
        content = spec.model_dump_json(include={"type", "values", "objectives"} | set(spec.options))
        whole = json.loads(content) | {"search": spec.search}
        text = json.dumps(whole, ensure_ascii=False, indent=2)
        # A server that keeps artifacts elsewhere has the space as parameters only.
        self._tracking.put_artifact(artifact_uri, ARTIFACT, text.encode())

    def update(self, sweep: Sweep, best_params: dict[str, Any], best_task: str) -> None:
        """Say how it stands.

        Raises:
            TrackingUnavailableError: not now.
            NotFoundError: the run is gone for good.
        """
        run = self._tracking.get("runs/get", run_id=sweep.id)["run"]
        if run["info"].get("lifecycle_stage") == "deleted":
            return
        counts, now, over = sweep.counts, int(time.time() * 1000), sweep.done
        values = {
            Metric.SWEEP_TRIALS: over,
            Metric.SWEEP_PRUNED: counts.get(TrialState.PRUNED, 0),
            Metric.SWEEP_FAILED: counts.get(TrialState.FAILED, 0),
        }
        values |= {Metric.SWEEP_BEST: sweep.best_values[0][0]} if sweep.best_values else {}
        metrics = [{"key": str(k), "value": v, "timestamp": now, "step": over} for k, v in values.items()]
        tags = {Tag.STATE: sweep.state.value, "mlflow.note.content": sweep.reason}
        if sweep.best:
            tags |= {Tag.BEST_TRIAL: ", ".join(map(str, sweep.best)), Tag.BEST_TASK: best_task}
            tags |= {f"best.{name}": str(value) for name, value in best_params.items()}
        self._tracking.post("runs/log-batch", run_id=sweep.id, metrics=metrics, tags=_tags(tags))
        end = {"end_time": int(sweep.ended_at * 1000)} if sweep.ended_at else {}
        self._tracking.post("runs/update", run_id=sweep.id, status=STATUS[sweep.state].value, **end)

    def discard(self, run_id: str) -> None:
        """Hide the run; nothing happens if it cannot be."""
        try:
            self._tracking.post("runs/delete", run_id=run_id)
        except PlatformError:
            return

    def restore(self, run_id: str) -> None:
        """Show it again."""
        try:
            self._tracking.post("runs/restore", run_id=run_id)
        except NotFoundError:
            return


def _tags(values: dict[Any, str]) -> list[dict[str, str]]:
    return [{"key": str(key), "value": value} for key, value in values.items()]
