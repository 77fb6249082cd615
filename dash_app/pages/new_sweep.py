"""The form of a new sweep: that of a training, without the settings that are searched, and what a sweep needs beside
it. `/sweeps/new?like=ID` begins with another sweep, `?clone=TASK` with a task. The space and the objectives are put
together by `assets/89-space.js`.
"""

import json
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import dash_bootstrap_components as dbc
from dash import ClientsideFunction, Dash, Input, dcc, html

from dash_app import forms, start_form
from dash_app.components import attributes, card, icon, notice, page_head
from dash_app.form_changes import (
    EMPTY_CODES,
    Updates,
    answer_form,
    extras,
    held_values,
    labels,
    settings_of,
    shown_problems,
    switched,
    task_to_clone,
    types_to_choose,
)
from dash_app.sweep_form import option_values, options_card, plan, told, told_problems
from dash_app.texts import Texts
from minimind_platform.errors import NotFoundError, PlatformError, SettingsError

if TYPE_CHECKING:
    from minimind_platform import Platform
    from minimind_platform.errors import Problem
    from minimind_platform.sweeps.views import Sweep

UNTRIED = EMPTY_CODES | {"empty_space"}
"""Problems of what nobody has filled in yet; not shown before the first try to submit."""


def layout(platform: "Platform", query: dict[str, str], t: Texts) -> html.Div:
    """The form with its starting values: the defaults, or those of another sweep or of a task."""
    types = platform.training_types()
    like, parent = _sweep_like(platform, query), task_to_clone(platform, query)
    chosen = like.type if like else parent.type if parent else query.get("type", "")
    if chosen not in types:
        chosen = "sft" if "sft" in types else next(iter(types))
    values = forms.default_values(types, chosen)
    values |= held_values(types, chosen, _settings_of(like) if like else parent.config if parent else {})
    search = like.spec.search if like else {}
    goals = [goal.model_dump() for goal in like.spec.objectives] if like else []
    fields = platform.sweeps.options()
    options = option_values(fields) | (option_values(fields, like.spec.options) if like else {})
    note = t("newsweep.cloned", name=like.name) if like else t("newsweep.from_task", name=parent.name) if parent else ""
    cards = forms.groups(types, chosen, values, platform.devices(), extras(platform, chosen, values, t), t)
    type_card = card(
        t("new.type"),
        [
            types_to_choose(types, chosen, t),
            start_form.entry(types[chosen], values, t),
            labels("newsweep", "", str(like.spec.priority) if like else "0", t),
        ],
        id="group-type",
    )
    begin = {"search": search, "goals": goals, "told": told(platform, chosen, t)}
    return html.Div(
        [
            page_head(t("newsweep.title"), t("newsweep.subtitle")),
            notice("copy", note, kind="info") if note else None,
            html.Div(id="form-summary", tabIndex="-1", role="alert"),
            html.Div(
                [
                    html.Div(
                        [type_card, _space(t), _goals(t), options_card(fields, options, t), *cards],
                        className="form-cards",
                    ),
                    _plan_card(t),
                ],
                className="form-columns",
            ),
            dcc.Store(id="form-type", data=chosen),
            dcc.Store(id="sweep-told"),
            dcc.Store(id="sweep-change"),
            dcc.Store(id="sweep-submit"),
        ],
        id="new-sweep",
        className="page page-new",
        **attributes(data_title=t("newsweep.title"), data_key=uuid.uuid4().hex, data_begin=json.dumps(begin)),
    )


def add_callbacks(ui: Dash, platform: "Platform", texts: Callable[[], Texts]) -> None:
    """Checks and texts are made here, from what the script gathers."""
    ui.clientside_callback(
        ClientsideFunction("minimind", "sweepTold"), Input("sweep-told", "data"), prevent_initial_call=True
    )
    answer_form(
        ui,
        "sweep",
        "submit-sweep",
        lambda form, before: changes(platform, form, before, texts()),
        lambda form: submission(platform, form, texts()),
    )


def changes(platform: "Platform", form: dict[str, Any], before: str, t: Texts) -> Updates:
    """What the page shows after the form changed: other fields and defaults, problems, the plan."""
    chosen = form["type"]
    values, updates = switched(platform, form, before, t)
    types = platform.training_types()
    form = form | {"search": _of_type(platform, form["search"], chosen)}
    shown = forms.type_fields(types, chosen)
    for name in platform.sweeps.proposals(chosen):
        if name in shown:  # those that are searched stand above, and only there
            updates.setdefault(f"entry-{name}", {})["hidden"] = name in form["search"]
    check = platform.sweeps.check(*_asked(platform, form, values), name=(form["name"] or "").strip())
    problems = [p for p in _own_problems(check.problems, form) if form["tried"] or p.code not in UNTRIED]
    updates |= _problem_updates(platform, form, problems, t)
    updates["form-summary"] = {
        "children": _summary(platform, form, problems, t) if form["tried"] and problems else None
    }
    updates["plan"] = {"children": plan(platform, check, form["options"], t)}
    return updates


def submission(platform: "Platform", form: dict[str, Any], t: Texts) -> tuple[Updates, bool]:
    """Make the sweep and go to its page, or show all that is wrong. True if it was made."""
    type_name, values, search, options, goals = _asked(platform, form, form["values"])
    try:
        sweep = platform.sweeps.create(
            type_name,
            values,
            search,
            name=(form["name"] or "").strip(),
            options=options,
            objectives=goals,
            key=form["key"],
        )
    except SettingsError as error:
        problems = _own_problems(error.problems, form)
        updates = _problem_updates(platform, form, problems, t)
        return updates | {"form-summary": {"children": _summary(platform, form, problems, t)}}, False
    except PlatformError as error:
        text = [html.Strong(t("newsweep.failed")), " ", error.message, " ", error.hint]
        return {"form-summary": {"children": notice("exclamation-octagon-fill", text, kind="bad")}}, False
    return {"url": {"href": f"/sweeps/{sweep.id}"}}, True


def _asked(platform: "Platform", form: dict[str, Any], values: dict[str, Any]) -> tuple[Any, ...]:
    """What the form asks for, as the platform takes it: type, settings, space, options, objectives."""
    options = {name: value for name, value in form["options"].items() if value not in ("", None)}
    options["priority"] = form["priority"] or "0"
    chosen = form["type"]
    return chosen, settings_of(platform, chosen, values), form["search"], options, form["objectives"]


def _own_problems(problems: "list[Problem]", form: dict[str, Any]) -> "list[Problem]":
    """Without the fixed values that are missing only because they are searched."""
    return [problem for problem in problems if problem.code != "missing" or problem.field not in form["search"]]


def _of_type(platform: "Platform", search: dict[str, Any], chosen: str) -> dict[str, Any]:
    """The part of a space that a type has; after a change of type others are left over."""
    known = platform.sweeps.proposals(chosen)
    return {name: parts for name, parts in search.items() if name in known}


def _problem_updates(platform: "Platform", form: dict[str, Any], problems: "list[Problem]", t: Texts) -> Updates:
    """Those of ordinary inputs go to them, the others to the script."""
    placed = told_problems(platform, form, problems, t)
    plain = [problem for problem, told_of in zip(problems, placed, strict=True) if told_of["place"] == "field"]
    updates = shown_problems(platform, form["type"], plain, t)
    others = [one for one in placed if one["place"] != "field"]
    return updates | {"sweep-told": {"data": told(platform, form["type"], t) | {"problems": others}}}


def _summary(platform: "Platform", form: dict[str, Any], problems: "list[Problem]", t: Texts) -> html.Div:
    count = len(problems)
    head = t("new.problems_one") if count == 1 else t("new.problems", count=count)
    lines = []
    for one in told_problems(platform, form, problems, t):
        label = html.A(one["label"], href=f"#{one['target']}", className="jump") if one["target"] else None
        lines.append(html.Li([label, ": " if label else "", one["text"]]))
    return notice("exclamation-octagon-fill", [html.Strong(head), html.Ul(lines)], kind="bad")


def _sweep_like(platform: "Platform", query: dict[str, str]) -> Any:
    try:
        return platform.sweeps.get(query["like"]) if query.get("like") else None
    except NotFoundError:
        return None


def _settings_of(like: "Sweep") -> dict[str, Any]:
    """Its fixed settings, without the registered model that only its own trials belong to."""
    return {k: v for k, v in like.spec.values.items() if (k, v) != ("model_name", f"sweep-{like.id[:8]}")}


def _space(t: Texts) -> html.Section:
    pick = html.Div(
        [
            dbc.Label(t("newsweep.add_setting"), html_for="space-add"),
            html.Div(id="space-add-place", **attributes(data_choose=t("newsweep.choose_setting"))),
            html.Div(id="search-error", className="field-error"),
        ],
        className="field",
    )
    body = [html.Div(id="space-cards", className="space-cards"), html.Div(pick, className="space-add")]
    return card(t("newsweep.space"), body, hint=t("newsweep.space_hint"), id="group-space")


def _goals(t: Texts) -> html.Section:
    add = [icon("plus-circle"), t("newsweep.add_goal")]
    body = [
        html.Div(id="goal-cards", className="goal-cards"),
        html.Button(add, id="goal-add", className="btn btn-quiet btn-small", type="button"),
    ]
    return card(t("newsweep.goals"), body, hint=t("newsweep.goals_hint"), id="group-goals")


def _plan_card(t: Texts) -> html.Aside:
    return html.Aside(
        [
            html.Div(html.H2(t("newsweep.plan")), className="card-head"),
            html.Div(
                html.P(t("newsweep.plan_wait"), className="quiet"),
                id="plan",
                className="plan",
                **attributes(aria_live="polite"),
            ),
            html.Button(
                [icon("play-fill"), t("newsweep.submit")], id="submit-sweep", className="btn btn-primary btn-wide"
            ),
            html.P(t("new.submit_hint"), className="quiet submit-hint"),
        ],
        className="panel plan-card",
    )
