"""The list of all tasks: `/tasks?state=RUNNING&type=sft&q=words&sort=loss&order=asc&trials=1&archived=1&sweep=ID`.

The rows are kept by `assets/59-lists.js`, which asks REST every second or two and changes only what changed, so that
focus, scroll and a half-made click survive.
"""

import json
from typing import TYPE_CHECKING, Any

import dash_bootstrap_components as dbc
from dash import html

from dash_app.components import attributes, icon, link_button, page_head
from dash_app.texts import Texts

if TYPE_CHECKING:
    from minimind_platform import Platform

SORTS = ("created", "started", "duration", "name", "state", "type", "progress", "loss", "priority", "turn")


def layout(platform: "Platform", t: Texts) -> html.Div:
    """Filters and the place of the list."""
    types = {name: t.title(name, kind.title) for name, kind in platform.training_types().items()}
    options: list[Any] = [{"value": "all", "label": t("tasks.all_types")}]
    options += [{"value": name, "label": title} for name, title in types.items()]
    filters = html.Div(
        [
            html.Div(
                [
                    icon("search"),
                    dbc.Label(t("tasks.search"), html_for="task-search", class_name="visually-hidden"),
                    dbc.Input(id="task-search", type="search", placeholder=t("tasks.search"), autocomplete="off"),
                ],
                className="search",
            ),
            dbc.Label(t("tasks.type"), html_for="task-type-filter", class_name="visually-hidden"),
            dbc.Select(id="task-type-filter", options=options, value="all", class_name="filter-type"),
            _sort_tools(t),
            html.Div(id="state-chips", className="chips", role="group", **attributes(aria_label=t("tasks.states"))),
            html.Div(
                [_toggle("trials", "sliders", t), _toggle("archived", "archive", t)],
                className="filters-more",
                role="group",
                **attributes(aria_label=t("tasks.more_filters")),
            ),
        ],
        className="filters",
    )
    trash = link_button(t("tasks.trash"), "/trash", "trash", id="trash-link")
    new = link_button(t("nav.new"), "/new", "plus-circle", "primary", id="new-task-link")
    return html.Div(
        [
            page_head(t("tasks.title"), t("tasks.subtitle"), [trash, new]),
            html.Div(id="task-banners"),
            filters,
            html.Div(
                id="task-list",
                **attributes(data_types=json.dumps(types), data_label=t("tasks.table"), aria_busy="true"),
            ),
        ],
        className="page page-tasks",
        **attributes(data_title=t("tasks.title")),
    )


def _sort_tools(t: Texts) -> html.Div:
    """What the list is sorted by, and in which direction; heads of columns do the same."""
    options: list[Any] = [{"value": name, "label": t(f"tasks.sort_{name}")} for name in SORTS]
    turn = html.Button(icon("sort-down"), id="task-order", className="btn btn-quiet btn-icon", title=t("tasks.order"))
    return html.Div(
        [
            dbc.Label(t("tasks.sort"), html_for="task-sort", class_name="visually-hidden"),
            dbc.Select(id="task-sort", options=options, value="created"),
            turn,
        ],
        className="sort-tools",
    )


def _toggle(name: str, image: str, t: Texts) -> html.Button:
    """A filter that is on or off."""
    return html.Button(
        [icon(image), html.Span(t(f"tasks.{name}"))],
        id=f"{name}-filter",
        className="chip",
        title=t(f"tasks.{name}_hint"),
        **attributes(aria_pressed="false"),
    )
