"""Sweeps and trials as text for a terminal, and what is written about them there.

print(table(SWEEP_HEADS, map(sweep_row, page.sweeps)))
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from minimind_platform import tables
from minimind_platform.cli_text import SHORT, indented
from minimind_platform.errors import Problem, SettingsError

if TYPE_CHECKING:
    from minimind_platform.sweeps.views import Sweep, SweepCheck, SweepState, Trial

SWEEP_HEADS = ("ID", "STATE", "NAME", "TYPE", "TRIALS", "RUN", "FAILED", "BEST", "CREATED")
DIRECTIONS = ("minimize", "maximize")
TAKEN = ("best", "last", "mean")


def sweep_row(sweep: "Sweep") -> list[str]:
    """A sweep as a line of a list."""
    return [
        sweep.id[:SHORT],
        sweep.state,
        sweep.name,
        sweep.type,
        f"{sweep.done} of {sweep.spec.n_trials}",
        str(sweep.counts.get("RUNNING", "")),
        str(sweep.counts.get("FAILED", "")),
        _values(sweep.best_values[0]) if sweep.best_values else "",
        tables.moment(sweep.created_at),
    ]


def in_full(sweep: "Sweep", trials: Sequence["Trial"]) -> str:
    """Everything about one sweep."""
    spec = sweep.spec
    counts = ", ".join(f"{count} {state.lower()}" for state, count in sweep.counts.items() if count)
    facts = [
        ("Sweep", f"{sweep.id}  {sweep.name}"),
        ("Type", sweep.type),
        ("State", f"{sweep.state}{f': {sweep.reason}' if sweep.reason else ''}"),
        ("Objective", "; ".join(f"{o.direction} {o.metric} ({o.taken})" for o in spec.objectives)),
        ("Trials", f"{sweep.done} of {spec.n_trials}{f': {counts}' if counts else ''}"),
        ("How", f"sampler {spec.sampler}, pruner {spec.pruner}, {spec.parallel} at a time"),
        ("Time", f"{tables.duration(sweep.spent_seconds)}, on devices {tables.duration(sweep.device_seconds)}"),
        ("Created", tables.moment(sweep.created_at)),
        ("Ended", tables.moment(sweep.ended_at)),
        ("Deleted", tables.moment(sweep.deleted_at)),
        ("MLflow", "not up to date yet" if sweep.unsynced else ""),
    ]
    lines = [f"{label:<12} {text}" for label, text in facts if text]
    searched = [[param.name, param.text] for param in spec.params] or [["", "chosen by a function in a program"]]
    lines += ["", "Searched", indented(searched), "", "The same in all", indented(_listed(spec.values))]
    lines += [
        "",
        best(sweep, [trial for trial in trials if trial.number in sweep.best]),
        "",
        "Trials",
        _trials(sweep, trials) if trials else "  none yet",
    ]
    return "\n".join(lines)


def best(sweep: "Sweep", trials: Sequence["Trial"]) -> str:
    """The best trial, or those that no other one beats."""
    if not trials:
        return "No trial is complete yet."
    return "\n".join(["Best", *(f"  {trial_line(sweep, trial)}" for trial in trials)])


def trial_line(sweep: "Sweep", trial: "Trial") -> str:
    """A trial in one line."""
    metrics = [objective.metric for objective in sweep.spec.objectives]
    values = [f"{key} {tables.number(value)}" for key, value in zip(metrics, trial.values, strict=False)]
    task = f"task {trial.task_id[:SHORT]}" if trial.task_id else ""
    parts = [
        f"Trial {trial.number}",
        trial.state.lower(),
        *values,
        settings(trial.params),
        tables.duration(trial.seconds),
    ]
    return "  ".join(part for part in [*parts, task, trial.reason] if part)


def settings(params: Mapping[str, Any]) -> str:
    """Searched settings in one line."""
    return ", ".join(f"{name} {_short(value)}" for name, value in params.items())


def space(check: "SweepCheck") -> str:
    """What would be searched."""
    text = indented([[param.name, param.text] for param in check.params]) or "  nothing"
    count = f"\n{check.combinations:,} combinations." if check.combinations is not None else ""
    return f"Searched\n{text}{count}"


def sweep_json(sweep: "Sweep") -> dict[str, Any]:
    """A sweep as JSON."""
    plain = {name: value for name, value in vars(sweep).items() if name != "spec"}
    return plain | {"spec": sweep.spec.model_dump(mode="json"), "type": sweep.type, "done": sweep.done}


def check_json(check: "SweepCheck") -> dict[str, Any]:
    """A check as JSON."""
    return asdict(check) | {"params": {param.name: param.as_dict() for param in check.params}}


def read_objectives(metrics: Sequence[str], direction: str) -> list[dict[str, str]]:
    """`eval/loss`, `perf/tokens_per_second:maximize:mean` and so on; a direction of its own for the only one.

    Raises:
        SettingsError: what is behind a metric is no direction and not what is taken of it.
    """
    objectives = []
    for text in metrics or ([""] if direction else []):
        metric, *words = (part.strip() for part in text.split(":"))
        told = {"direction" if word in DIRECTIONS else "taken" if word in TAKEN else word: word for word in words}
        if unknown := told.keys() - {"direction", "taken"}:
            message = f"{', '.join(unknown)} behind {metric} is none of {', '.join((*DIRECTIONS, *TAKEN))}."
            raise SettingsError([Problem("metric", "not_understood", message, {"value": text})])
        objectives.append({"metric": metric} | ({"direction": direction} if direction else {}) | told)
    if direction and len(objectives) > 1:
        message = "With several metrics write the direction behind each, such as METRIC:maximize."
        raise SettingsError([Problem("direction", "several_metrics", message)])
    return objectives


def read_states(text: str) -> "list[SweepState]":
    """States with commas between them, in any case."""
    from minimind_platform.sweeps.views import SweepState

    parts = [part.strip().upper() for part in text.split(",") if part.strip()]
    if unknown := [part for part in parts if part not in SweepState.__members__]:
        message = f"There is no state {', '.join(unknown)}; choose from {', '.join(SweepState.__members__)}."
        raise SettingsError([Problem("state", "unknown_state", message, {"value": text})])
    return [SweepState(part) for part in parts]


def _trials(sweep: "Sweep", trials: Sequence["Trial"]) -> str:
    names = list(dict.fromkeys(name for trial in trials for name in trial.params))
    metrics = [objective.metric.upper() for objective in sweep.spec.objectives]
    heads = ["NO", "STATE", *metrics, *(name.upper() for name in names), "TIME", "TASK", "REASON"]
    return tables.table(heads, [_trial_row(trial, names, len(metrics)) for trial in trials])


def _trial_row(trial: "Trial", names: Sequence[str], objectives: int) -> list[str]:
    values = [tables.number(value) for value in trial.values] or [""] * objectives
    chosen = [_short(trial.params[name]) if name in trial.params else "" for name in names]
    notes = ["excluded" if trial.excluded else "", "" if trial.feasible else "above the limits", trial.reason]
    said = "; ".join(note for note in notes if note)
    seconds = tables.duration(trial.seconds)
    state = (trial.task_state or trial.state) if trial.state == "RUNNING" else trial.state  # such as QUEUED
    return [str(trial.number), state, *values, *chosen, seconds, trial.task_id[:SHORT], said]


def _values(values: Sequence[float]) -> str:
    return ", ".join(tables.number(value) for value in values)


def _listed(values: Mapping[str, Any]) -> list[list[str]]:
    return [[name, _short(value)] for name, value in values.items()]


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
