"""What was deleted: `/trash`. The rows are kept by `assets/62-trash.js`."""

import json
from typing import TYPE_CHECKING, Any

import dash_bootstrap_components as dbc
from dash import dcc, html

from dash_app.components import attributes, icon, page_head
from dash_app.texts import Texts

if TYPE_CHECKING:
    from minimind_platform import Platform

AGES = (0, 7, 30, 90)
"""Days; 0 for everything."""


def layout(platform: "Platform", t: Texts) -> html.Div:
    """What emptying frees, and the place of the list."""
    ages: list[Any] = [
        {"value": str(days), "label": t("trash.all") if not days else t("trash.older", n=days)} for days in AGES
    ]
    types = {name: t.title(name, kind.title) for name, kind in platform.training_types().items()}
    told = attributes(data_label=t("trash.table"), data_types=json.dumps(types), aria_busy="true")
    tools = [
        dbc.Label(t("trash.what"), html_for="trash-age", class_name="visually-hidden"),
        dbc.Select(id="trash-age", options=ages, value="0", class_name="filter-type"),
        html.Button(
            [icon("trash"), t("trash.empty")],
            id="trash-empty",
            type="button",
            disabled=True,
            className="btn btn-quiet btn-danger",
        ),
    ]
    back = dcc.Link([icon("chevron-left"), t("trash.to_tasks")], href="/tasks", className="quiet")
    return html.Div(
        [
            html.Nav(back, className="crumbs", **attributes(aria_label=t("trash.path"))),
            page_head(t("trash.title"), _subtitle(platform, t), tools),
            html.Div(id="trash-banners"),
            html.Div(id="trash-list", **told),
        ],
        className="page page-trash",
        **attributes(data_title=t("trash.title")),
    )


def _subtitle(platform: "Platform", t: Texts) -> str:
    days = platform.settings.trash_days
    return t("trash.subtitle_days", n=days) if days else t("trash.subtitle")
