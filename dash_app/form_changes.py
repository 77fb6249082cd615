"""What the forms of a training and of a sweep have in common: their first parts, what a change of one input does to the
others, and where problems are shown.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import dash_bootstrap_components as dbc
from dash import ClientsideFunction, Dash, Input, Output, State, html, set_props

from dash_app import forms, pickers, reward_form, start_form
from dash_app.components import attributes, icon, notice
from dash_app.texts import Texts
from minimind_platform.errors import NotFoundError

if TYPE_CHECKING:
    from minimind_platform import Platform, Problem, Task, TrainingType

Updates = dict[str, dict[str, Any]]
"""New properties of components, by their id."""
PRIORITIES = (("normal", "0"), ("high", "10"), ("low", "-10"))
EMPTY_CODES = frozenset({"missing", "string_too_short"})
"""Problems of a field that nobody has filled in yet; not shown before the first try to submit."""


def answer_form(
    ui: Dash,
    name: str,
    button: str,
    changes: Callable[[dict[str, Any], str], Updates],
    submission: Callable[[dict[str, Any]], tuple[Updates, bool]],
) -> None:
    """Answer what the page's script has gathered from a form.

    Args:
        ui: the app.
        name: of the form's stores, `<name>-change` and `<name>-submit`.
        button: that submits it; disabled once something was made.
        changes: what the page shows after a change, by the form and the type before it.
        submission: what it shows after a submit, and whether something was made.
    """
    ui.clientside_callback(
        ClientsideFunction("minimind", "formSubmitted"), Input(button, "n_clicks"), prevent_initial_call=True
    )

    @ui.callback(Input(f"{name}-change", "data"), State("form-type", "data"), prevent_initial_call=True)
    def changed(form: dict[str, Any], before: str) -> None:
        _show(changes(form, before))

    @ui.callback(Output(button, "disabled"), Input(f"{name}-submit", "data"), prevent_initial_call=True)
    def submitted(form: dict[str, Any]) -> bool:
        updates, made = submission(form)
        _show(updates)
        return made


def _show(updates: Updates) -> None:
    for component, props in updates.items():
        set_props(component, props)


def held_values(types: forms.Types, chosen: str, config: dict[str, Any]) -> dict[str, Any]:
    """What inputs hold of settings that are known already."""
    fields = forms.type_fields(types, chosen)
    return {name: forms.form_value(f, config[name]) for name, f in fields.items() if name in config}


def extras(platform: "Platform", chosen: str, values: dict[str, Any], t: Texts) -> dict[str, Any]:
    """What stands beside the inputs: data sets and weights to pick from, model sizes, rewards."""
    types = platform.training_types()
    return {
        "data_path": html.Div(pickers.datasets(platform, types[chosen].data_format, t), id="pick-data_path"),
        **{
            name: html.Div(pickers.weights(platform, name, types[chosen].needs_base, t), id=f"pick-{name}")
            for name, field in forms.union_fields(types).items()
            if field.kind == "weight"
        },
        "group-model": _presets(platform, types[chosen], values, t),
        **{
            name: reward_form.composer(field, str(values.get(name, "")), platform.reward_kinds(), t)
            for name, field in forms.union_fields(types).items()
            if field.kind == "rewards"
        },
    }


def switched(platform: "Platform", form: dict[str, Any], before: str, t: Texts) -> tuple[dict[str, Any], Updates]:
    """The values after a change, and what the page shows of it: other fields and defaults, but no problems."""
    types = platform.training_types()
    chosen, values = form["type"], dict(form["values"])
    updates: Updates = {}
    written = form["trigger"] == "written"
    if written:
        updates |= _written(form, t)
    if chosen != before:
        values = values if written else start_form.switched_values(types, before, chosen, values)
        shown = forms.type_fields(types, chosen)
        for name in forms.union_fields(types):
            updates[f"entry-{name}"] = {"hidden": name not in shown}
        for name in forms.varying_fields(types) & set(shown):
            updates[f"label-{name}"] = {"children": forms.label_of(shown[name], types[chosen], t)}
            updates[f"help-{name}"] = {"children": forms.help_of(shown[name], types[chosen], t)}
        for group in forms.GROUPS:
            updates[f"group-{group}"] = {"hidden": group not in forms.shown_groups(types, chosen)}
        for group, count in forms.advanced_counts(types, chosen).items():
            updates[f"count-{group}"] = {"children": t("group.advanced_count", count=count)}
        updates["pick-data_path"] = {"children": pickers.datasets(platform, types[chosen].data_format, t)}
        if types[chosen].needs_base != types[before].needs_base:
            picks = pickers.weights(platform, "from_weight", types[chosen].needs_base, t)
            updates["pick-from_weight"] = {"children": picks}
            updates["presets"] = {"hidden": types[chosen].needs_base}
        updates["starts"] = {"hidden": not types[chosen].starts}
        updates["start"] = {"options": start_form.options(types[chosen], t)}
        updates["form-type"] = {"data": chosen}
    elif form["trigger"] == "preset" and form["preset"]:
        sizes = platform.presets()[form["preset"]].values
        fields = forms.type_fields(types, chosen)
        values |= {name: forms.form_value(fields[name], value) for name, value in sizes.items()}
    elif form["trigger"] == "start" and form["start"]:
        values |= start_form.values_of(types[chosen])[form["start"]]
    for name, value in values.items():
        if written or value != form["values"].get(name):
            updates[f"field-{name}"] = {"value": value}
    preset = preset_of(platform, chosen, values)
    if preset != form["preset"]:
        updates["preset"] = {"value": preset}
    start = start_form.chosen(types[chosen], values)
    if start != form["start"]:
        updates["start"] = updates.get("start", {}) | {"value": start}
    updates["start-help"] = {"children": start_form.help_of(types[chosen], start, t)}
    updates["base-note"] = {"children": _base_note(values, t)}
    return values, updates


def settings_of(platform: "Platform", chosen: str, values: dict[str, Any]) -> dict[str, Any]:
    """What a person has set. Defaults are left out, so that sizes can come from the base weights."""
    types = platform.training_types()
    defaults = forms.default_values(types, chosen)
    settings: dict[str, Any] = {}
    for name, field in forms.type_fields(types, chosen).items():
        value = values.get(name)
        value = value.strip() if isinstance(value, str) else value
        untouched = value == defaults[name] and not field.required
        if not untouched and not (value in (None, "") and field.kind in ("int", "float")):
            settings[name] = value
    return settings


def preset_of(platform: "Platform", chosen: str, values: dict[str, Any]) -> str:
    """The name of the model size that a form holds, or ""."""
    fields = forms.type_fields(platform.training_types(), chosen)
    for preset in platform.presets().values():
        if all(values.get(name) == forms.form_value(fields[name], value) for name, value in preset.values.items()):
            return preset.name
    return ""


def shown_problems(platform: "Platform", chosen: str, problems: list["Problem"], t: Texts) -> Updates:
    """The first problem of each input at its place, and no other ones."""
    by_field: dict[str, Any] = {}
    for problem in problems:
        by_field.setdefault(problem.field, t.problem(problem))
    fields = forms.type_fields(platform.training_types(), chosen)
    for name in by_field:
        if name in fields and fields[name].kind == "rewards":
            by_field[name] = reward_form.problem_lines([p for p in problems if p.field == name], t)
    shown = [*fields, "name"]
    return {f"error-{name}": {"children": by_field.get(name)} for name in shown}


def summary(problems: list["Problem"], kind: "TrainingType", t: Texts) -> html.Div:
    """All problems above the form, each leading to its input."""
    count = len(problems)
    head = t("new.problems_one") if count == 1 else t("new.problems", count=count)
    lines = []
    order = list(t.labels)  # as in the form
    for problem in sorted(problems, key=lambda p: order.index(p.field) if p.field in order else -1):
        target = "task-name" if problem.field == "name" else reward_form.target_of(problem)
        text = t.problem(problem)
        label = html.A(t.label(problem.field, kind), href=f"#{target}", className="jump") if problem.field else None
        lines.append(html.Li([label, ": " if label else "", text]))
    return notice("exclamation-octagon-fill", [html.Strong(head), html.Ul(lines)], kind="bad")


def types_to_choose(types: forms.Types, chosen: str, t: Texts) -> dbc.RadioItems:
    """The training types, one of them chosen."""
    options: Any = [
        {
            "value": name,
            "label": html.Span(
                [html.Strong(t.title(name, kind.title)), html.Span(t.pages.get(f"type.{name}.hint", ""))]
            ),
        }
        for name, kind in types.items()
    ]
    return dbc.RadioItems(id="task-type", options=options, value=chosen, class_name="choices")


def priorities(chosen: str, t: Texts) -> Any:
    """The priorities to choose from; one that has no word is offered as a number."""
    options: Any = [{"label": t(f"new.priority_{key}"), "value": value} for key, value in PRIORITIES]
    return options if chosen in dict(PRIORITIES).values() else [*options, {"label": chosen, "value": chosen}]


def _written(form: dict[str, Any], t: Texts) -> Updates:
    """Type, name and priority that were written as text; the settings follow as values that have changed."""
    priority = str(form["priority"] or 0)
    return {
        "task-type": {"value": form["type"]},
        "task-name": {"value": form["name"]},
        "task-priority": {"value": priority, "options": priorities(priority, t)},
    }


def labels(page: str, name: str, priority: str, t: Texts) -> html.Div:
    """What it is called, and how urgent it is.

    Args:
        page: begin of the keys of the texts about the name.
        name: to begin with.
        priority: to begin with.
        t: the language.
    """
    options = priorities(priority, t)
    hint = t(f"{page}.name_placeholder")
    parts = [
        [
            dbc.Label(t("new.name"), html_for="task-name"),
            dbc.Input(id="task-name", value=name, maxlength=100, placeholder=hint, autocomplete="off"),
            html.Div(id="error-name", className="field-error"),
            html.Div(t(f"{page}.name_help"), className="field-help", id="help-name"),
        ],
        [
            dbc.Label(t("new.priority"), html_for="task-priority"),
            dbc.Select(id="task-priority", options=options, value=priority),
        ],
    ]
    return html.Div([html.Div(part, className="field") for part in parts], className="fields")


def task_to_clone(platform: "Platform", query: dict[str, str]) -> "Task | None":
    """The task that an address says to begin with, if there is one."""
    try:
        return platform.task(query["clone"]) if query.get("clone") else None
    except NotFoundError:
        return None


def _base_note(values: dict[str, Any], t: Texts) -> list[Any] | None:
    based = values.get("from_weight") not in ("none", "")
    return [icon("info-circle"), t("new.base_note")] if based else None


def _presets(platform: "Platform", kind: "TrainingType", values: dict[str, Any], t: Texts) -> html.Div:
    chosen = preset_of(platform, kind.name, values)
    options: list[Any] = [
        {"value": p.name, "label": html.Span([html.Strong(p.name), html.Span(p.parameters)])}
        for p in platform.presets().values()
    ]
    options.append({"value": "", "label": html.Span([html.Strong(t("new.preset_custom")), icon("sliders")])})
    sizes = [
        html.Div(t("new.preset"), className="form-label", id="preset-label"),
        html.Div(
            dbc.RadioItems(id="preset", options=options, value=chosen, class_name="choices choices-small"),
            role="group",
            **attributes(aria_labelledby="preset-label"),
        ),
        html.Div(t("new.preset_help"), className="field-help"),
    ]
    note = html.Div(_base_note(values, t), id="base-note", className="field-note")
    return html.Div([html.Div(sizes, id="presets", hidden=kind.needs_base), note], className="field presets")
