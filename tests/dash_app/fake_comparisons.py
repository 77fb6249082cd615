"""Comparisons of the platform in memory."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from minimind_platform.comparisons import Compared, ComparedRun, FoundRun, checked, compare_link, page_link, state_of
from minimind_platform.curves.service import CurveAnswer
from minimind_platform.errors import NotFoundError

if TYPE_CHECKING:
    from fake_platform import FakePlatform


class FakeComparisons:
    """Answers as `minimind_platform.comparisons.Comparisons` does."""

    def __init__(self, platform: "FakePlatform") -> None:
        self.platform = platform

    def of(self, ids: Sequence[str]) -> Compared:
        found, missing = [], []
        for run_id in checked(ids):
            try:
                found.append(self.one(run_id))
            except NotFoundError:
                missing.append(run_id)
        return Compared(found, missing, compare_link([run.facts for run in found]))

    def one(self, run_id: str) -> ComparedRun:
        facts, keys = self.platform.curves.facts(run_id)
        task = self.platform.all.get(run_id)
        return ComparedRun(facts, keys, str(task.state) if task else state_of(facts), page_link(facts))

    def curves(
        self, ids: Sequence[str], keys: Sequence[str], since: Mapping[str, Mapping[str, tuple[int, int]]] | None = None
    ) -> dict[str, CurveAnswer]:
        return {
            run_id: self.platform.curves.read(run_id, keys, (since or {}).get(run_id))
            for run_id in checked(ids)
            if run_id in self.platform.all or run_id in self.platform.curves.foreign
        }

    def find(self, words: str) -> list[FoundRun]:
        tasks = self.platform.tasks(words=words, limit=20).tasks
        found = [FoundRun(task.id, task.name, str(task.state), task.started_at, True) for task in tasks]
        others = [
            FoundRun(run_id, self.platform.curves.facts(run_id)[0].name, "RUNNING", 1.0, False)
            for run_id in self.platform.curves.foreign
        ]
        return (found + [run for run in others if words in run.name])[:20]
