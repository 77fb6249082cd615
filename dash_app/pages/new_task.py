"""The page where a training is set up: `/new`, `/new?clone=<task>`, `/new?type=sft&base=models:/name/1`,
`/new?data=dataset/my.jsonl&max_seq_len=512`."""

import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from dash import ClientsideFunction, Dash, Input, dcc, html

from dash_app import forms, start_form
from dash_app.components import attributes, card, link_button, notice, page_head
from dash_app.form_changes import (
    EMPTY_CODES,
    Updates,
    answer_form,
    extras,
    held_values,
    labels,
    settings_of,
    shown_problems,
    summary,
    switched,
    task_to_clone,
    types_to_choose,
)
from dash_app.plans import advice, plan, plan_card
from dash_app.texts import Texts
from dash_app.written_panel import like_picker, written_panel
from minimind_platform.errors import PlatformError, SettingsError

if TYPE_CHECKING:
    from minimind_platform import Platform


def layout(platform: "Platform", query: dict[str, str], t: Texts) -> html.Div:
    """The form with its starting values: the defaults, those of a cloned task, or with a base given."""
    types = platform.training_types()
    parent = task_to_clone(platform, query)
    chosen = parent.type if parent else query.get("type", "")
    if chosen not in types:
        chosen = next(iter(types))
    values = forms.default_values(types, chosen)
    if parent:
        values |= held_values(types, chosen, parent.config)
    if query.get("base"):
        values["from_weight"] = query["base"]
    if query.get("data"):
        values["data_path"] = query["data"]
    if query.get("tokenizer"):
        values["tokenizer_path"] = query["tokenizer"]
    if query.get("max_seq_len"):
        values["max_seq_len"] = query["max_seq_len"]
    cloned = notice("copy", t("new.cloned", name=parent.name), kind="info") if parent else None
    known = platform.check(chosen, settings_of(platform, chosen, values)) if values.get("data_path") else None
    cards = forms.groups(types, chosen, values, platform.devices(), extras(platform, chosen, values, t), t)
    first = card(
        t("new.type"),
        [
            like_picker(t),
            types_to_choose(types, chosen, t),
            start_form.entry(types[chosen], values, t),
            labels("new", parent.name if parent else "", "0", t),
        ],
        id="group-type",
    )
    search = link_button(
        t("newsweep.search_link"),
        "/sweeps/new?from=form",
        "sliders",
        id="search-settings",
        title=t("newsweep.search_title"),
    )
    return html.Div(
        [
            page_head(t("new.title"), t("new.subtitle"), search),
            cloned,
            html.Div(id="form-summary", tabIndex="-1", role="alert"),
            html.Div(
                [
                    html.Div([first, *cards, written_panel(t)], className="form-cards"),
                    plan_card(known, types[chosen], t),
                ],
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
    answer_form(
        ui,
        "form",
        "submit-task",
        lambda form, before: changes(platform, form, before, texts()),
        lambda form: submission(platform, form, texts()),
    )


def changes(platform: "Platform", form: dict[str, Any], before: str, t: Texts) -> Updates:
    """What the page shows after the form changed: other fields and defaults, errors, the plan."""
    chosen = form["type"]
    values, updates = switched(platform, form, before, t)
    kind = platform.training_types()[chosen]
    check = platform.check(chosen, settings_of(platform, chosen, values))
    problems = check.problems if form["tried"] else [p for p in check.problems if p.code not in EMPTY_CODES]
    updates |= shown_problems(platform, chosen, problems, t)
    updates["form-summary"] = {"children": summary(problems, kind, t) if form["tried"] and problems else None}
    updates["plan"] = {"children": [*plan(check.preflight, t), *advice(check.advice, kind, t)]}
    return updates


def submission(platform: "Platform", form: dict[str, Any], t: Texts) -> tuple[Updates, bool]:
    """Make the task and go to its page, or show all that is wrong. True if it was made."""
    chosen = form["type"]
    try:
        task = platform.submit(
            chosen,
            settings_of(platform, chosen, form["values"]),
            name=form["name"] or "",
            priority=int(form["priority"] or 0),
            key=form["key"],
            parent_id=form["parent"],
        )
    except SettingsError as error:
        kind = platform.training_types()[chosen]
        updates = shown_problems(platform, chosen, error.problems, t)
        return updates | {"form-summary": {"children": summary(error.problems, kind, t)}}, False
    except PlatformError as error:
        text = [html.Strong(t("new.failed")), " ", error.message, " ", error.hint]
        return {"form-summary": {"children": notice("exclamation-octagon-fill", text, kind="bad")}}, False
    return {"url": {"href": f"/tasks/{task.id}"}}, True
