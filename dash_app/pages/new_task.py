"""The page where a training is set up: `/new`, `/new?clone=<task>`, `/new?type=sft&base=models:/name/1`,
`/new?data=dataset/my.jsonl&max_seq_len=512`."""

import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import dash_bootstrap_components as dbc
from dash import ClientsideFunction, Dash, Input, Output, State, dcc, html, set_props

from dash_app import forms, pickers, reward_form, start_form
from dash_app.components import attributes, card, icon, notice, page_head
from dash_app.plans import advice, plan, plan_card
from dash_app.texts import Texts
from minimind_platform.errors import NotFoundError, PlatformError, SettingsError

if TYPE_CHECKING:
    from minimind_platform import Platform, Problem, TrainingType

EMPTY_CODES = frozenset({"missing", "string_too_short"})
"""Problems of a field that nobody has filled in yet; not shown before the first try to submit."""
PRIORITIES = (("normal", "0"), ("high", "10"), ("low", "-10"))


def layout(platform: "Platform", query: dict[str, str], t: Texts) -> html.Div:
    """The form with its starting values: the defaults, those of a cloned task, or with a base given."""
    types = platform.training_types()
    parent = _task_to_clone(platform, query)
    chosen = parent.type if parent else query.get("type", "")
    if chosen not in types:
        chosen = next(iter(types))
    values = forms.default_values(types, chosen)
    if parent:
        fields = forms.type_fields(types, chosen)
        values |= {
            name: forms.form_value(f, parent.config[name]) for name, f in fields.items() if name in parent.config
        }
    if query.get("base"):
        values["from_weight"] = query["base"]
    if query.get("data"):
        values["data_path"] = query["data"]
    if query.get("tokenizer"):
        values["tokenizer_path"] = query["tokenizer"]
    if query.get("max_seq_len"):
        values["max_seq_len"] = query["max_seq_len"]
    extras = {
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
    cloned = notice("copy", t("new.cloned", name=parent.name), kind="info") if parent else None
    known = platform.check(chosen, _settings(platform, chosen, values)) if values.get("data_path") else None
    cards = forms.groups(types, chosen, values, platform.devices(), extras, t)
    first = card(
        t("new.type"),
        [
            _types(types, chosen, t),
            start_form.entry(types[chosen], values, t),
            _labels(parent.name if parent else "", t),
        ],
        id="group-type",
    )
    return html.Div(
        [
            page_head(t("new.title"), t("new.subtitle")),
            cloned,
            html.Div(id="form-summary", tabIndex="-1", role="alert"),
            html.Div(
                [html.Div([first, *cards], className="form-cards"), plan_card(known, types[chosen], t)],
                className="form-columns",
            ),
            dcc.Store(id="form-type", data=chosen),
            dcc.Store(id="form-change"),
            dcc.Store(id="form-submit"),
        ],
        id="new-task",
        className="page page-new",
        **attributes(data_title=t("new.title"), data_key=uuid.uuid4().hex, data_parent=parent.id if parent else ""),
    )


def add_callbacks(ui: Dash, platform: "Platform", texts: Callable[[], Texts]) -> None:
    """A script gathers what the form holds, after a pause in typing; checks and texts are made here."""
    names = list(forms.union_fields(platform.training_types()))
    inputs = [
        Input("task-type", "value"),
        Input("preset", "value"),
        Input("start", "value"),
        Input("task-name", "value"),
        Input("task-priority", "value"),
    ]
    inputs += [Input(f"field-{name}", "value") for name in names]
    ui.clientside_callback(ClientsideFunction("minimind", "formChanged"), *inputs)
    for name, field in forms.union_fields(platform.training_types()).items():
        if field.kind == "rewards":
            ui.clientside_callback(ClientsideFunction("minimind", "rewardsChanged"), Input(f"field-{name}", "value"))
    ui.clientside_callback(
        ClientsideFunction("minimind", "formSubmitted"), Input("submit-task", "n_clicks"), prevent_initial_call=True
    )

    @ui.callback(Input("form-change", "data"), State("form-type", "data"), prevent_initial_call=True)
    def changed(form: dict[str, Any], before: str) -> None:
        for component, props in changes(platform, form, before, texts()).items():
            set_props(component, props)

    @ui.callback(Output("submit-task", "disabled"), Input("form-submit", "data"), prevent_initial_call=True)
    def submitted(form: dict[str, Any]) -> bool:
        updates, made = submission(platform, form, texts())
        for component, props in updates.items():
            set_props(component, props)
        return made


Updates = dict[str, dict[str, Any]]


def changes(platform: "Platform", form: dict[str, Any], before: str, t: Texts) -> Updates:
    """What the page shows after the form changed: other fields and defaults, errors, the plan."""
    types = platform.training_types()
    chosen, values = form["type"], dict(form["values"])
    updates: Updates = {}
    if chosen != before:
        values = start_form.switched_values(types, before, chosen, values)
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
        if value != form["values"].get(name):
            updates[f"field-{name}"] = {"value": value}
    preset = _preset_of(platform, chosen, values)
    if preset != form["preset"]:
        updates["preset"] = {"value": preset}
    start = start_form.chosen(types[chosen], values)
    if start != form["start"]:
        updates["start"] = updates.get("start", {}) | {"value": start}
    updates["start-help"] = {"children": start_form.help_of(types[chosen], start, t)}
    check = platform.check(chosen, _settings(platform, chosen, values))
    problems = check.problems if form["tried"] else [p for p in check.problems if p.code not in EMPTY_CODES]
    updates |= _shown_problems(platform, chosen, problems, t)
    updates["form-summary"] = {"children": _summary(problems, types[chosen], t) if form["tried"] and problems else None}
    updates["base-note"] = {"children": _base_note(values, t)}
    updates["plan"] = {"children": [*plan(check.preflight, t), *advice(check.advice, types[chosen], t)]}
    return updates


def submission(platform: "Platform", form: dict[str, Any], t: Texts) -> tuple[Updates, bool]:
    """Make the task and go to its page, or show all that is wrong. True if it was made."""
    chosen = form["type"]
    try:
        task = platform.submit(
            chosen,
            _settings(platform, chosen, form["values"]),
            name=form["name"] or "",
            priority=int(form["priority"] or 0),
            key=form["key"],
            parent_id=form["parent"],
        )
    except SettingsError as error:
        kind = platform.training_types()[chosen]
        updates = _shown_problems(platform, chosen, error.problems, t)
        return updates | {"form-summary": {"children": _summary(error.problems, kind, t)}}, False
    except PlatformError as error:
        text = [html.Strong(t("new.failed")), " ", error.message, " ", error.hint]
        return {"form-summary": {"children": notice("exclamation-octagon-fill", text, kind="bad")}}, False
    return {"url": {"href": f"/tasks/{task.id}"}}, True


def _settings(platform: "Platform", chosen: str, values: dict[str, Any]) -> dict[str, Any]:
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


def _preset_of(platform: "Platform", chosen: str, values: dict[str, Any]) -> str:
    fields = forms.type_fields(platform.training_types(), chosen)
    for preset in platform.presets().values():
        if all(values.get(name) == forms.form_value(fields[name], value) for name, value in preset.values.items()):
            return preset.name
    return ""


def _shown_problems(platform: "Platform", chosen: str, problems: list["Problem"], t: Texts) -> Updates:
    by_field: dict[str, Any] = {}
    for problem in problems:
        by_field.setdefault(problem.field, t.problem(problem))
    fields = forms.type_fields(platform.training_types(), chosen)
    for name in by_field:
        if name in fields and fields[name].kind == "rewards":
            by_field[name] = reward_form.problem_lines([p for p in problems if p.field == name], t)
    shown = [*fields, "name"]
    return {f"error-{name}": {"children": by_field.get(name)} for name in shown}


def _summary(problems: list["Problem"], kind: "TrainingType", t: Texts) -> html.Div:
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


def _task_to_clone(platform: "Platform", query: dict[str, str]) -> Any:
    try:
        return platform.task(query["clone"]) if query.get("clone") else None
    except NotFoundError:
        return None


def _types(types: forms.Types, chosen: str, t: Texts) -> dbc.RadioItems:
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


def _base_note(values: dict[str, Any], t: Texts) -> list[Any] | None:
    based = values.get("from_weight") not in ("none", "")
    return [icon("info-circle"), t("new.base_note")] if based else None


def _presets(platform: "Platform", kind: "TrainingType", values: dict[str, Any], t: Texts) -> html.Div:
    chosen = _preset_of(platform, kind.name, values)
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


def _labels(name: str, t: Texts) -> html.Div:
    options: Any = [{"label": t(f"new.priority_{key}"), "value": value} for key, value in PRIORITIES]
    return html.Div(
        [
            html.Div(
                [
                    dbc.Label(t("new.name"), html_for="task-name"),
                    dbc.Input(
                        id="task-name",
                        value=name,
                        maxlength=100,
                        placeholder=t("new.name_placeholder"),
                        autocomplete="off",
                    ),
                    html.Div(id="error-name", className="field-error"),
                    html.Div(t("new.name_help"), className="field-help", id="help-name"),
                ],
                className="field",
            ),
            html.Div(
                [
                    dbc.Label(t("new.priority"), html_for="task-priority"),
                    dbc.Select(id="task-priority", options=options, value="0"),
                ],
                className="field",
            ),
        ],
        className="fields",
    )
