"""Parts of the form of a sweep: its options, where its problems are shown, and the plan of the whole."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import dash_bootstrap_components as dbc
from dash import html

from dash_app import formats, forms, plans
from dash_app.components import card, icon
from dash_app.texts import Texts
from minimind_platform.sweeps.spec import usual_objective

if TYPE_CHECKING:
    from minimind_platform import ConfigField, Platform
    from minimind_platform.errors import Problem
    from minimind_platform.sweeps.views import SweepCheck

PLAIN = ("n_trials", "parallel", "sampler", "pruner")
"""Options that everybody looks at; the others are folded."""
ELSEWHERE = frozenset({"priority"})
"""Stands beside the name, as in the form of a task."""


def option_values(fields: "Sequence[ConfigField]", values: Mapping[str, Any] | None = None) -> dict[str, str]:
    """What the inputs of the options hold."""
    return {field.name: formats.setting((values or {}).get(field.name, field.default)) for field in fields}


def options_card(fields: "Sequence[ConfigField]", values: Mapping[str, str], t: Texts) -> html.Section:
    """How to search, and when it ends."""
    by_name = {field.name: field for field in fields if field.name not in ELSEWHERE}
    plain = [_option(by_name[name], values[name], t) for name in PLAIN]
    folded = [_option(field, values[name], t) for name, field in by_name.items() if name not in PLAIN]
    changed = any(values[name] != option_values([field])[name] for name, field in by_name.items() if name not in PLAIN)
    count = html.Span(t("group.advanced_count", count=len(folded)), className="quiet")
    summary = html.Summary([icon("chevron-right"), t("group.advanced"), count])
    fold = html.Details([summary, html.Div(folded, className="fields")], open=changed)
    body = [html.Div(plain, className="fields"), fold]
    return card(t("newsweep.options"), body, hint=t("newsweep.options_hint"), id="group-options")


def _option(field: "ConfigField", value: str, t: Texts) -> html.Div:
    id_ = f"option-{field.name}"
    label, about = t.sweep_option(field)
    if field.choices:
        options: Any = [{"label": choice, "value": choice} for choice in field.choices]
        entry: Any = dbc.Select(id=id_, options=options, value=value)
    else:
        mode = forms.INPUT_MODES.get(field.kind, "text")
        entry = dbc.Input(id=id_, type="text", value=value, inputmode=mode, autocomplete="off")
    allowed = forms.limits(field)
    shown = html.Span(t("new.allowed", range=allowed), className="range") if allowed else None
    return html.Div(
        [
            dbc.Label([label, html.Code(field.name)], html_for=id_),
            entry,
            html.Div(id=f"{id_}-error", className="field-error"),
            html.Div([about, shown], id=f"{id_}-help", className="field-help"),
        ],
        className="field",
    )


def told(platform: "Platform", chosen: str, t: Texts) -> dict[str, Any]:
    """What the script needs of a training type: the settings that can be searched with their usual ranges, and the
    metrics with what people usually mean by them."""
    kind = platform.training_types()[chosen]
    fields = forms.type_fields(platform.training_types(), chosen)
    settings = []
    for name, param in platform.sweeps.proposals(chosen).items():
        if name in fields:
            usual = {key: _shown(value) for key, value in param.as_dict().items()} if param else None
            choices = ["true", "false"] if fields[name].kind == "bool" else list(fields[name].choices)
            settings.append(
                {
                    "name": name,
                    "label": t.label(name, kind),
                    "kind": fields[name].kind,
                    "choices": choices,
                    "usual": usual,
                    "group": t(f"group.{fields[name].group}"),
                }
            )
    metrics = platform.sweeps.metrics(chosen)
    usual_of = {metric: usual_objective(metric) for metric in metrics}
    return {"type": chosen, "settings": settings, "metrics": metrics, "usual": usual_of, "problems": []}


def _shown(value: Any) -> Any:
    """A part of a range as inputs hold it."""
    if isinstance(value, list):
        return [formats.setting(one) for one in value]
    return value if isinstance(value, bool | dict) else formats.setting(value)


def told_problems(
    platform: "Platform", form: Mapping[str, Any], problems: "Sequence[Problem]", t: Texts
) -> list[dict[str, str]]:
    """For each problem its sentence, the input that it is about with its label, and the kind of place: field, search,
    option, goal or whole."""
    options = {field.name: field for field in platform.sweeps.options()}
    defaults = option_values(list(options.values()))
    kind = platform.training_types()[form["type"]]
    fields = forms.type_fields(platform.training_types(), form["type"])
    placed = []
    for problem in problems:
        name = problem.field.removeprefix("search.")
        # An option and a setting of the training may have the same name: it is the one that was touched.
        touched = name in options and form["options"].get(name, "") not in ("", defaults[name])
        if problem.field.startswith("search.") or name in form["search"]:
            place, target = "search", f"search-{name}"
            label = t("newsweep.space_problem", name=t.label(name, kind))
        elif name == "search":
            place, target, label = "search", "space-add", t("newsweep.space")
        elif name in options and (touched or name not in fields):
            place, target, label = "option", f"option-{name}", t.sweep_option(options[name])[0]
        elif name in ("metric", "objectives"):
            place, target, label = "goal", "goal-1-metric", t("newsweep.goal_problem")
        elif name == "name":
            place, target, label = "field", "task-name", t("new.name")
        elif name:
            place, target, label = "field", f"field-{name}", t.label(name, kind)
        else:
            place, target, label = "whole", "", ""
        told_of = {"place": place, "target": target, "label": label, "text": t.problem(problem), "name": name}
        placed.append(told_of)
    return placed


def plan(platform: "Platform", check: "SweepCheck", options: Mapping[str, str], t: Texts) -> list[Any]:
    """What one trial takes, in the middle of the space, and what the whole takes at most."""
    if check.preflight is None:
        return [html.P(t("newsweep.plan_wait"), className="quiet")]
    defaults = {field.name: field.default for field in platform.sweeps.options()}
    trials = _whole(options.get("n_trials"), defaults["n_trials"])
    at_once = min(trials, _whole(options.get("parallel"), defaults["parallel"]))
    if check.combinations is not None and options.get("sampler") == "grid":
        trials = min(trials, check.combinations)
    combinations = t("newsweep.plan_endless") if check.combinations is None else formats.whole(check.combinations)
    rows = [
        ("combinations", combinations),
        ("trials", formats.whole(trials)),
        ("at_once", formats.whole(at_once)),
    ]
    seconds = check.preflight.seconds
    if seconds is not None:
        rows.append(("device_time", "≈ " + formats.duration(seconds * trials, t)))
        rows.append(("time", "≈ " + formats.duration(seconds * -(-trials // max(1, at_once)), t)))
    entries = [
        html.Div([html.Dt(t(f"newsweep.plan_{key}")), html.Dd(text, id=f"plan-sweep-{key}")]) for key, text in rows
    ]
    pruned = options.get("pruner", defaults["pruner"]) != "none"
    return [
        html.H3(t("newsweep.plan_whole")),
        html.Dl(entries),
        html.P(t("newsweep.plan_pruned"), className="quiet") if pruned and seconds is not None else None,
        html.H3(t("newsweep.plan_one")),
        html.P(t("newsweep.plan_one_hint"), className="quiet"),
        *plans.plan(check.preflight, t),
    ]


def _whole(text: Any, default: int) -> int:
    """A number as typed, or the default while it is none."""
    try:
        return max(1, int(text))
    except (TypeError, ValueError):
        return int(default)
