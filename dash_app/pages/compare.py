"""Runs side by side: `/compare?ids=a,b`. `assets/68-compare.js` fills the page and keeps the address."""

from typing import TYPE_CHECKING

from dash import html

from dash_app.components import attributes, card, empty, icon, link_button, page_head, search_box, tab_panel, tabs
from dash_app.rest_compare import split_ids
from dash_app.texts import Texts

if TYPE_CHECKING:
    from minimind_platform import Platform

TABS = ("curves", "values", "settings")


def layout(_platform: "Platform", query: dict[str, str], t: Texts) -> html.Div:
    """The page for the runs that the address names."""
    out = [icon("box-arrow-up-right"), t("compare.mlflow")]
    link = html.A(out, id="compare-mlflow", className="btn btn-quiet", target="_blank", rel="noopener", hidden=True)
    return html.Div(
        [
            page_head(t("compare.title"), t("compare.subtitle"), link),
            html.Div(id="compare-banners"),
            html.Div([_search(t), html.Div(id="compare-runs", className="compare-runs")], className="compare-bar"),
            html.Div(_nothing(t), id="compare-nothing", hidden=True),
            html.Div(
                [
                    tabs("compare", TABS, t),
                    tab_panel("curves", html.Div(id="compare-charts", className="chart-panel")),
                    tab_panel("values", _table("values", t, t("compare.values_hint")), hidden=True),
                    tab_panel("settings", _table("settings", t, "", _all_settings(t)), hidden=True),
                ],
                id="compare-content",
            ),
        ],
        id="compare-page",
        className="page page-compare",
        **attributes(data_ids=",".join(split_ids(query.get("ids", ""))), data_title=t("compare.title")),
    )


def _search(t: Texts) -> html.Div:
    box = search_box("compare-search", t("compare.add"))
    return html.Div([box, html.Div(id="compare-found", className="picks", hidden=True)], className="compare-add")


def _nothing(t: Texts) -> html.Div:
    go = link_button(t("compare.to_tasks"), "/tasks", style="primary")
    return empty("graph-up", t("compare.nothing"), t("compare.nothing_hint"), go)


def _all_settings(t: Texts) -> html.Button:
    pressed = attributes(aria_pressed="false")
    return html.Button(t("compare.all_settings"), id="compare-all", className="btn btn-quiet btn-small", **pressed)


def _table(name: str, t: Texts, hint: str, tools: html.Button | None = None) -> html.Section:
    told = attributes(aria_label=t(f"compare.{name}"))
    place = html.Div(id=f"compare-{name}", className="compare-table", tabIndex="0", role="region", **told)
    return card(t(f"compare.{name}"), [place], hint, [tools] if tools else None)
