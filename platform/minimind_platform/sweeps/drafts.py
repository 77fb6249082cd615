"""What is known of a sweep before it begins: its options, what can be searched, and what is wrong with a wish.

checked = platform.sweeps.check("sft", {"data_path": "sft.jsonl"}, ["learning_rate"])
checked.problems, checked.combinations
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from minimind_platform.errors import Problem, SettingsError
from minimind_platform.submits import label_problems
from minimind_platform.sweeps.space import Param, middle, proposal, searchable
from minimind_platform.sweeps.space_checks import combination_problems
from minimind_platform.sweeps.spec import SweepSpec, metrics_of, option_fields, read_spec
from minimind_platform.sweeps.views import SweepCheck
from trainer.fields import ConfigField

if TYPE_CHECKING:
    from minimind_platform.service import Platform
    from minimind_platform.sweeps.store import SweepStore


class Drafts:
    """The part of `Sweeps` that makes nothing."""

    def __init__(self, platform: "Platform", store: "SweepStore") -> None:
        self._platform = platform
        self._store = store

    def options(self) -> list[ConfigField]:
        """How a sweep can search, as fields of a form."""
        return option_fields()

    def proposals(self, type: str) -> dict[str, Param | None]:  # noqa: A002
        """Settings that can be searched, in the order of their form, with the usual range; None: a person says it."""
        return {field.name: proposal(field) for field in searchable(type)}

    def metrics(self, type: str) -> list[str]:  # noqa: A002
        """Metrics that such trainings record, the usual objective first."""
        return metrics_of(type)

    def check(
        self,
        type: str,  # noqa: A002
        values: Mapping[str, Any],
        search: Sequence[str] | Mapping[str, Any] | None,
        options: Mapping[str, Any] | None = None,
        objectives: Sequence[Any] = (),
        name: str = "",
    ) -> SweepCheck:
        """What is wrong with a sweep, and what it would take. Bad values never raise."""
        return self._draft(type, values, search, options, objectives, name)[0]

    def _draft(
        self,
        type: str,  # noqa: A002
        values: Mapping[str, Any],
        search: Sequence[str] | Mapping[str, Any] | None,
        options: Mapping[str, Any] | None,
        objectives: Sequence[Any],
        name: str,
    ) -> tuple[SweepCheck, SweepSpec | None]:
        """As `check`, and the sweep as it was understood; None if it was not."""
        problems = self._name_problems(name)
        try:
            spec = read_spec(type, values, search, options, objectives)
        except SettingsError as error:
            others = self._platform.check(type, dict(values)) if search is not None else None
            known = {problem.field for problem in error.problems}
            more = [p for p in others.problems if p.field not in known] if others else []
            return SweepCheck(problems + error.problems + more), None
        if spec.function:
            return SweepCheck(problems), spec
        problems += combination_problems(spec)
        found = self._platform.check(spec.type, spec.values | middle(spec.params, spec.fixed))
        searched = {param.name for param in spec.params}
        told = {problem.field for problem in problems}
        for problem in found.problems:
            place = f"search.{problem.field}" if problem.field in searched else problem.field
            problems += [] if place in told else [replace(problem, field=place)]
        return SweepCheck(problems, list(spec.params), spec.combinations, found.preflight), spec

    def _name_problems(self, name: str) -> list[Problem]:
        from minimind_platform.sweeps.store import name_taken

        name = name.strip()
        problems = label_problems(name, 0, "")
        return problems + ([name_taken(name)] if name and self._store.by_name(name) else [])
