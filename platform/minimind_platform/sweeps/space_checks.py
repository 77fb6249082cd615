"""Whether all of a search space makes settings that a training accepts, tried before the first trial.

for problem in combination_problems(spec): print(problem.message)
"""

import itertools
import math
import random
from collections.abc import Iterator
from typing import Any

from minimind_platform.errors import Problem, SettingsError
from minimind_platform.sweeps.space import Param, holds
from minimind_platform.sweeps.spec import FOR_TRIALS, SweepSpec
from trainer.configs import parse_config

Point = dict[str, Any]
Kind = tuple[str, str]
"""Field and code of a problem."""
MOST_COMBINATIONS = 256
"""Up to so many, all ends and choices are tried with one another; of more, each with each other one."""
RANDOM_POINTS = 100
"""Tried besides, because between good ends there may be bad values."""


def combination_problems(spec: SweepSpec) -> list[Problem]:
    """What a training would refuse, the first combination of each kind, as problems of `search.<setting>`.

    Settings that are wrong whatever is searched give their own problems, as a single training does. A space that a
    function makes cannot be tried.
    """
    if spec.function:
        return []
    trials = _Trials(spec)
    used: set[str] = set()
    first: dict[Kind, tuple[Point, Problem]] = {}
    always = set(trials.problems({}, alone=True))
    for point in trials.points():
        used |= trials.used(point).keys()
        found = trials.problems(point)
        always &= found.keys()
        for kind, problem in found.items():
            first.setdefault(kind, (point, problem))
    unused = [_never_used(param) for param in spec.params if param.name not in used]
    return unused + [
        problem if kind in always else _bad_combination(problem, trials.guilty(point, kind))
        for kind, (point, problem) in first.items()
    ]


def _never_used(param: Param) -> Problem:
    conditions = param.text.rpartition(" if ")[2]
    text = f"{param.name} is never searched, because {conditions} never holds. Change that, or leave it out."
    return Problem(f"search.{param.name}", "never_searched", text, {"name": param.name, "conditions": conditions})


def _bad_combination(problem: Problem, guilty: Point) -> Problem:
    combination = ", ".join(f"{name}={value}" for name, value in guilty.items())
    name = problem.field if problem.field in guilty else next(iter(guilty))
    values = problem.values | {"combination": combination, "problem": problem.code, "message": problem.message}
    return Problem(f"search.{name}", "bad_combination", f"{combination}: {problem.message}", values)


class _Trials:
    """Settings that trials of a sweep can get. A point has all searched settings, used or not."""

    def __init__(self, spec: SweepSpec) -> None:
        self._spec = spec
        self._fixed = spec.fixed
        self._chance = random.Random(spec.seed)
        self._edges = {param.name: _edges(param) for param in spec.params}

    def problems(self, point: Point, alone: bool = False) -> dict[Kind, Problem]:
        """What is wrong with a trial, or with the fixed settings alone."""
        chosen = {} if alone else self.used(point)
        try:
            parse_config(self._spec.type, FOR_TRIALS | self._spec.values | chosen)
        except SettingsError as error:
            return {(problem.field, problem.code): problem for problem in error.problems}
        return {}

    def used(self, point: Point) -> Point:
        """A point without the settings whose conditions are not met."""
        chosen: Point = {}
        for param in self._spec.params:
            if holds(param, self._fixed | chosen):
                chosen[param.name] = point[param.name]
        return chosen

    def guilty(self, point: Point, kind: Kind) -> Point:
        """Those settings of a bad point of which another value would do; all if there are none."""
        used = self.used(point)
        guilty = {
            param.name: used[param.name]
            for param in self._spec.params
            if param.name in used
            and any(kind not in self.problems(point | {param.name: other}) for other in self._others(param))
        }
        return guilty or {name: value for name, value in used.items() if name == kind[0]} or used

    def points(self) -> Iterator[Point]:
        """Ends and choices with one another, then random points."""
        edges = self._edges
        if math.prod(len(values) for values in edges.values()) <= MOST_COMBINATIONS:
            for values in itertools.product(*edges.values()):
                yield dict(zip(edges, values, strict=True))
        else:
            for one, other in itertools.combinations(edges, 2):
                for value, another in itertools.product(edges[one], edges[other]):
                    rest = {name: self._chance.choice(values) for name, values in edges.items()}
                    yield rest | {one: value, other: another}
        for _ in range(RANDOM_POINTS):
            yield {param.name: _drawn(param, self._chance) for param in self._spec.params}

    def _others(self, param: Param) -> list[Any]:
        usual = self._fixed[param.name]  # all that are searched may be bad
        return [
            *([] if usual is None else [usual]),
            *self._edges[param.name],
            *(_drawn(param, self._chance) for _ in range(10)),
        ]


def _edges(param: Param) -> tuple[Any, ...]:
    if param.kind == "choice":
        return param.choices
    return tuple(dict.fromkeys(int(end) if param.kind == "int" else float(end) for end in (param.low, param.top)))


def _drawn(param: Param, chance: random.Random) -> Any:
    if param.kind == "choice":
        return chance.choice(param.choices)
    if param.step:
        value = param.low + param.step * chance.randint(0, (param.count or 1) - 1)
    elif param.log:
        value = math.exp(chance.uniform(math.log(param.low), math.log(param.high)))
    else:
        value = chance.uniform(param.low, param.high)
    value = min(max(value, param.low), param.high)
    return round(value) if param.kind == "int" else value
