"""History of runs from a tracking server, over REST: exact to 10,000 points, a sample beyond.

The server answers with at most 2,500 points a request and samples beyond that, so a longer range is asked for in
windows.
"""

from typing import Any

from minimind_platform.curves.buckets import Buckets
from minimind_platform.curves.history import Row, RunFacts
from minimind_platform.tracking_client import TrackingClient

ROWS = 2_500
"""Most points of one answer; the server samples a range with more."""
WINDOWS = 5
LAST_STEP = 2**62


class ServedHistory:
    """History of runs, as `History`. Safe to use from many threads."""

    def __init__(self, tracking: TrackingClient) -> None:
        self._tracking = tracking

    def facts(self, run_id: str) -> tuple[RunFacts, list[str]]:
        run = self._tracking.get("runs/get", run_id=run_id)["run"]
        info, data = run["info"], run.get("data", {})
        facts = RunFacts(
            id=run_id,
            name=info.get("run_name", ""),
            status=info.get("status", ""),
            experiment_id=str(info.get("experiment_id", "")),
            started_at=int(info["start_time"]) / 1000 if info.get("start_time") else None,
            ended_at=int(info["end_time"]) / 1000 if info.get("end_time") else None,
            task_id=None,
            params={item["key"]: item.get("value", "") for item in data.get("params", ())},
            deleted=info.get("lifecycle_stage") == "deleted",
        )
        return facts, sorted(item["key"] for item in data.get("metrics", ()))

    def overview(self, run_id: str, key: str) -> Buckets:
        return self.piece(run_id, key, 0, LAST_STEP)

    def rows(self, run_id: str, key: str, begin: int) -> list[Row]:
        return self.exact_rows(run_id, key, begin, LAST_STEP)[0]

    def piece(self, run_id: str, key: str, begin: int, end: int) -> Buckets:
        rows, sampled = self.exact_rows(run_id, key, max(0, begin), end)
        buckets = Buckets()
        buckets.sampled = sampled
        for step, value, at in rows:
            buckets.add(step, value, at)
        return buckets

    def exact_rows(self, run_id: str, key: str, begin: int, end: int) -> tuple[list[Row], bool]:
        """The points of a range, and whether some are missing."""
        rows = self._ask(run_id, key, begin, end)
        if len(rows) < ROWS:
            return rows, False
        return self._in_windows(run_id, key, [step for step, _, _ in rows])

    def _in_windows(self, run_id: str, key: str, steps: list[int]) -> tuple[list[Row], bool]:
        """All points of a range of which a sample is known. The sample tells where to cut: it is spread by rows."""
        size = -(-len(steps) // WINDOWS)
        begins = sorted({steps[index] for index in range(0, len(steps), size)})
        ends = [begin - 1 for begin in begins[1:]] + [steps[-1]]
        rows: list[Row] = []
        cut = False
        for begin, end in zip(begins, ends, strict=True):
            part = self._ask(run_id, key, begin, end)
            cut = cut or len(part) >= ROWS
            rows += part
        return rows, cut

    def _ask(self, run_id: str, key: str, begin: int, end: int) -> list[Row]:
        answer = self._tracking.get(
            "metrics/get-history-bulk-interval",
            timeout=5.0 if begin == 0 else 2.0,
            run_ids=run_id,
            metric_key=key,
            start_step=begin,
            end_step=end,
            max_results=ROWS,
        )
        found = sorted(answer.get("metrics", []), key=lambda row: (int(row["step"]), int(row["timestamp"])))
        return [(int(row["step"]), _value(row["value"]), row["timestamp"] / 1000) for row in found]


def _value(value: Any) -> float | None:
    """A number; None for what JSON cannot hold and MLflow writes as text: NaN, Infinity."""
    return float(value) if isinstance(value, int | float) else None
