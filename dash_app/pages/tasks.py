"""The list of all tasks: `/tasks?state=RUNNING&type=sft&q=words`.

The rows are kept by `assets/59-lists.js`, which asks REST every two seconds and changes only what changed, so that
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
            html.Div(id="state-chips", className="chips", role="group", **attributes(aria_label=t("tasks.states"))),
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
