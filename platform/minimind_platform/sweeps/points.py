"""Points of a search space: one that a person gives, and all of a grid.

chosen = read_point(spec, {"learning_rate": "1e-4", "batch_size": 16})
for chosen in grid(spec): ...
"""

from collections.abc import Iterator, Mapping
from typing import Any

from minimind_platform.errors import Problem, SettingsError
from minimind_platform.sweeps.space import Param, holds, read_value
from minimind_platform.sweeps.spec import SweepSpec


def read_point(spec: SweepSpec, given: Mapping[str, Any]) -> dict[str, Any]:
    """Read the searched settings of one trial. Those that are not searched under its own conditions are left out.

    Raises:
        SettingsError: with everything that is wrong; problems name the setting.
    """
    names = {param.name for param in spec.params}
    problems = [
        Problem(name, "not_searched", f"{name} is not searched in this sweep.", {"name": name})
        for name in map(str, given)
        if name not in names
    ]
    fixed = spec.fixed
    chosen: dict[str, Any] = {}
    for param in spec.params:
        if not holds(param, fixed | chosen):
            continue
        try:
            chosen[param.name] = _read(spec.type, param, given)
        except SettingsError as error:
            problems += error.problems
    if problems:
        raise SettingsError(problems)
    return chosen


def _read(type_name: str, param: Param, given: Mapping[str, Any]) -> Any:
    if given.get(param.name) in (None, ""):
        text = f"Give {param.name} a value: {param.text}."
        raise SettingsError([Problem(param.name, "value_missing", text, {"range": param.text})])
    value = read_value(type_name, param.name, given[param.name])
    if not param.contains(value):
        text = f"{value} is not in the search space: {param.text}."
        raise SettingsError([Problem(param.name, "outside_space", text, {"value": value, "range": param.text})])
    return value


def grid(spec: SweepSpec) -> Iterator[dict[str, Any]]:
    """All combinations, the last setting fastest. A setting whose condition is not met is absent, so none is double."""
    fixed = spec.fixed

    def rest(index: int, chosen: dict[str, Any]) -> Iterator[dict[str, Any]]:
        if index == len(spec.params):
            yield chosen
            return
        param = spec.params[index]
        if not holds(param, fixed | chosen):
            yield from rest(index + 1, chosen)
            return
        for value in param.values:
            yield from rest(index + 1, chosen | {param.name: value})

    yield from rest(0, {})
