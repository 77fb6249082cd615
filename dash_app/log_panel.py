"""The log on a task's page: search, levels, the first error, and the lines, which `assets/66-log.js` brings."""

from typing import TYPE_CHECKING, Any

import dash_bootstrap_components as dbc
from dash import html

from dash_app.components import attributes, icon
from dash_app.texts import Texts

if TYPE_CHECKING:
    from minimind_platform import Task

MOST_WORDS = 200


def log_panel(task: "Task", t: Texts) -> html.Section:
    """The card of the log."""
    head = html.Div([html.H2(t("task.log")), html.Div(_tools(task, t), className="card-tools")], className="card-head")
    lines = html.Div(
        id="task-log",
        className="log",
        tabIndex="0",
        role="log",
        **attributes(aria_label=t("log.label"), aria_live="off"),
    )
    return html.Section([head, _search(t), lines], className="panel panel-log", id="log-find")


def _tools(task: "Task", t: Texts) -> list[html.Button | html.A]:
    quiet = "btn btn-quiet btn-small"
    follow = html.Button(
        t("task.follow"), id="log-follow", className=quiet, type="button", **attributes(aria_pressed="true")
    )
    download = html.A(
        [icon("download"), t("task.log_download")],
        href=f"/api/tasks/{task.id}/log/download",
        download="",
        className=quiet,
    )
    first = html.Button([icon("flag-fill"), t("log.first_error")], id="log-first-error", className=quiet, type="button")
    return [first, follow, download]


def _search(t: Texts) -> html.Div:
    """Words and level, and below them what was found; that part is hidden until something is looked for."""
    words = dbc.Input(
        id="log-words", type="search", placeholder=t("log.search"), autocomplete="off", maxlength=MOST_WORDS, size="sm"
    )
    levels: Any = [{"label": t(f"log.level_{name}"), "value": name} for name in ("all", "warning", "error")]
    choice = dbc.Select(id="log-level", options=levels, value="all", size="sm")
    wanted = [
        html.Div(
            [icon("search"), dbc.Label(t("log.search"), html_for="log-words", class_name="visually-hidden"), words],
            className="search",
        ),
        dbc.Label(t("log.level"), html_for="log-level", class_name="visually-hidden"),
        choice,
    ]
    buttons = [
        _button("previous", "chevron-left", t("log.previous")),
        _button("next", "chevron-right", t("log.next")),
        _button("close", "x-lg", t("log.close")),
    ]
    more = html.Button(t("log.more"), id="log-more", className="btn btn-quiet btn-small", type="button", hidden=True)
    bar = html.Div([html.Span(id="log-status", role="status"), more, *buttons], className="log-bar")
    found = html.Ol(id="log-found", className="log-found", **attributes(aria_label=t("log.found")))
    return html.Div(
        [html.Div(wanted, className="log-wanted"), html.Div([bar, found], id="log-bar", hidden=True)],
        className="log-search",
    )


def _button(name: str, icon_name: str, label: str) -> html.Button:
    told = attributes(aria_label=label)
    return html.Button(
        icon(icon_name), id=f"log-{name}", className="btn btn-plain btn-icon", type="button", title=label, **told
    )
