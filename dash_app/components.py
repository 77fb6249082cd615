"""Small parts that several pages use."""

from collections.abc import Sequence
from typing import Any

import dash_bootstrap_components as dbc
from dash import dcc, html

from dash_app.texts import Texts
from minimind_platform.tasks import State


def attributes(**values: str) -> dict[str, Any]:
    """HTML attributes with a hyphen in their name: `aria_label` is written for `aria-label`."""
    return {name.replace("_", "-"): value for name, value in values.items()}


def icon(name: str) -> html.I:
    """An icon of assets/20-icons.css, only for the eye."""
    return html.I(className=f"bi bi-{name}", **attributes(aria_hidden="true"))


def pill(state: State, t: Texts, id: str | None = None) -> html.Span:  # noqa: A002 - Dash's word
    """A state in its colour."""
    extra: dict[str, Any] = {"id": id} if id else {}
    return html.Span(t(f"js.state.{state}"), className="pill", **attributes(data_state=str(state)), **extra)


def page_head(title: Any, subtitle: Any = None, actions: Any = None) -> html.Header:
    """Title of a page with its actions on the right."""
    left: list[Any] = [html.H1(title, tabIndex="-1", id="page-heading")]
    if subtitle:
        left.append(html.P(subtitle, className="sub"))
    return html.Header(
        [html.Div(left, className="head-text"), html.Div(actions or [], className="head-actions")],
        className="page-head",
    )


def link_button(label: str, href: str, icon_name: str = "", style: str = "quiet", **extra: Any) -> dcc.Link:
    """A link inside the application that looks like a button."""
    return dcc.Link([icon(icon_name), label] if icon_name else label, href=href, className=f"btn btn-{style}", **extra)


def empty(icon_name: str, title: str, text: str, action: Any = None) -> html.Div:
    """What a page shows when there is nothing yet, and what to do about it."""
    return html.Div(
        [html.Div(icon(icon_name), className="empty-icon"), html.H2(title), html.P(text), action],
        className="empty",
    )


def notice(icon_name: str, children: Any, kind: str = "warn", **extra: Any) -> html.Div:
    """A line that a person should not miss."""
    return html.Div([icon(icon_name), html.Div(children)], className=f"notice notice-{kind}", **extra)


def moment(at: float | None, exact: bool = False) -> html.Time | str:
    """A time; the browser writes it relative or exact, in its own time zone, with the exact one as title."""
    extra = attributes(data_exact="yes") if exact else {}
    return html.Time("", **attributes(data_at=str(at)), **extra) if at else "–"


def card(title: Any, children: Any, hint: str = "", tools: Any = None, **extra: Any) -> html.Section:
    """A white card with a heading."""
    head = [html.Div([html.H2(title), html.P(hint) if hint else None])]
    if tools:
        head.append(html.Div(tools, className="card-tools"))
    return html.Section([html.Div(head, className="card-head"), *children], className="panel", **extra)


def search_box(id: str, label: str) -> html.Div:  # noqa: A002 - Dash's word
    """A search input with its icon; the label is for screen readers."""
    return html.Div(
        [
            icon("search"),
            dbc.Label(label, html_for=id, class_name="visually-hidden"),
            dbc.Input(id=id, type="search", placeholder=label, debounce=250, autocomplete="off"),
        ],
        className="search",
    )


def tabs(page: str, names: Sequence[str], t: Texts) -> html.Div:
    """The tabs of a page, the first one chosen; scripts show the panels.

    Args:
        page: begin of the keys of its texts: `<page>.tabs` and `<page>.tab_<name>`.
        names: of the tabs.
        t: the language.
    """
    buttons = [
        html.Button(
            t(f"{page}.tab_{name}"),
            id=f"tab-{name}",
            role="tab",
            className="part-tab",
            tabIndex="0" if name == names[0] else "-1",
            **attributes(aria_selected="true" if name == names[0] else "false", aria_controls=f"panel-{name}"),
        )
        for name in names
    ]
    return html.Div(buttons, className="part-tabs", role="tablist", **attributes(aria_label=t(f"{page}.tabs")))


def tab_panel(name: str, content: Any, hidden: bool = False) -> html.Div:
    """What a tab shows."""
    told = attributes(aria_labelledby=f"tab-{name}")
    return html.Div(content, id=f"panel-{name}", role="tabpanel", hidden=hidden, className="tab-panel", **told)
