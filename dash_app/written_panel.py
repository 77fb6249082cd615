"""The settings of a new task as YAML, command and Python, below its form; `assets/82-written.js` fills it in."""

from typing import Any

from dash import html

from dash_app.components import attributes, icon, tab_panel, tabs
from dash_app.texts import Texts

WAYS = ("yaml", "command", "python")


def written_panel(t: Texts) -> html.Details:
    """A card that is folded until somebody opens it."""
    hint = html.Span(t("written.hint"), className="quiet")
    summary = html.Summary([icon("chevron-right"), html.H2(t("written.title")), hint])
    panels = [tab_panel(way, _yaml(t) if way == "yaml" else _shown(way, t), hidden=way != "yaml") for way in WAYS]
    return html.Details([summary, tabs("written", WAYS, t), *panels], id="written", className="panel written")


def _yaml(t: Texts) -> list[Any]:
    text = html.Textarea(
        id="written-yaml", className="form-control mono", rows=14, spellCheck="false", **attributes(aria_label="YAML")
    )
    note = html.Div(
        [
            t("written.kept"),
            html.Button(t("written.from_form"), id="written-again", className="btn btn-quiet btn-small"),
        ],
        id="written-kept",
        className="notice notice-info",
        hidden=True,
    )
    tools = [
        _button("written-copy-yaml", "copy", t("written.copy")),
        _button("written-upload", "box-arrow-up", t("written.upload")),
        _button("written-download", "download", t("written.download")),
    ]
    problems = html.Ul(id="written-problems", className="written-problems", **attributes(aria_live="polite"))
    return [
        html.P(t("written.yaml_help"), className="field-help"),
        text,
        problems,
        note,
        html.Div(tools, className="written-tools"),
    ]


def _shown(way: str, t: Texts) -> list[Any]:
    label = attributes(aria_label=t(f"written.tab_{way}"))
    return [
        html.P(t(f"written.{way}_help"), className="field-help"),
        html.Pre(id=f"written-{way}", className="written-text mono", tabIndex="0", role="region", **label),
        html.Div(_button(f"written-copy-{way}", "copy", t("written.copy")), className="written-tools"),
    ]


def _button(id_: str, icon_name: str, label: str) -> html.Button:
    return html.Button([icon(icon_name), label], id=id_, className="btn btn-quiet btn-small", type="button")


def like_picker(t: Texts) -> html.Details:
    """A list of earlier tasks to begin with, found by words; `assets/83-like.js` fills it in."""
    box = html.Div(
        [
            icon("search"),
            html.Label(t("like.search"), htmlFor="like-words", className="visually-hidden"),
            # made by the script, as Dash would send every letter to the server
            html.Div(id="like-input", **attributes(data_label=t("like.search"))),
        ],
        className="search",
    )
    summary = html.Summary([icon("chevron-right"), t("like.title")])
    found = html.Div(id="like-found", className="picks", role="group", **attributes(aria_label=t("like.found")))
    return html.Details([summary, box, found], id="like", className="like")
