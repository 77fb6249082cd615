"""Data sets: `/data` lists them and what can be fetched, `/data?path=…&type=…&max_seq_len=…&row=…` opens one.

`assets/75-data.js` fills in statistics and rows, `assets/74-hub.js` downloads. What is looked at is in the address, so
that it can be shared.
"""

import os
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import dash_bootstrap_components as dbc
from dash import dcc, html

from dash_app import formats
from dash_app.components import attributes, card, empty, icon, link_button, moment, page_head
from dash_app.pages.models import table
from dash_app.texts import Texts

if TYPE_CHECKING:
    from minimind_platform import Dataset, HubEntry, Platform

HUB = "https://huggingface.co"
ANY_TYPE = "any"
"""Stands for: as the first rows look. An empty value would be shown as nothing chosen."""
KINDS = ("data", "weights", "tokenizer")
TILES = ("rows", "tokens", "truncated", "unlabelled", "duplicates")


def layout(platform: "Platform", query: dict[str, str], t: Texts) -> html.Div:
    """The list, or the data set that the address names."""
    return _opened(platform, query, t) if query.get("path") else _listing(platform, t)


# the list


def _listing(platform: "Platform", t: Texts) -> html.Div:
    found = platform.datasets()
    new = link_button(t("nav.new"), "/new", "plus-circle", "primary")
    search = html.Div(
        [
            icon("search"),
            dbc.Label(t("data.search"), html_for="data-search", class_name="visually-hidden"),
            dbc.Input(id="data-search", type="search", placeholder=t("data.search"), autocomplete="off"),
        ],
        className="search",
    )
    rows = [_row(platform, dataset, t) for dataset in found]
    columns = [t(f"data.{key}") for key in ("name", "rows", "size", "changed", "actions")]
    nothing = empty("database", t("data.empty"), t("data.empty_hint", folder=str(platform.settings.data_dir)))
    listed = card(t("data.sets"), [table(columns, rows), _none_match(t)], hint=t("data.sets_hint"), id="data-sets")
    return html.Div(
        [
            page_head(t("data.title"), t("data.subtitle"), new),
            html.Div(search, className="filters") if found else None,
            listed if found else nothing,
            _hub(platform, t),
        ],
        id="data-page",
        className="page page-data",
        **attributes(data_title=t("data.title")),
    )


def _none_match(t: Texts) -> html.P:
    return html.P(t("data.none_match"), className="none-match", id="data-none", hidden=True)


def _row(platform: "Platform", dataset: "Dataset", t: Texts) -> html.Tr:
    tag = html.Span(dataset.format or t("data.unknown"), className="tag", **attributes(data_tag=dataset.format))
    files = html.Span(t("data.files", count=dataset.files), className="quiet files") if dataset.files else None
    name = [dcc.Link(dataset.path, href=_address(dataset.path), className="task-link"), tag, files]
    cells: list[tuple[str, Any, str]] = [
        ("name", name, "main"),
        ("rows", formats.whole(dataset.rows), "number"),
        ("size", formats.size(dataset.bytes), "number"),
        ("changed", moment(dataset.modified_at), ""),
        ("actions", _train(platform, dataset, t, small=True), "actions"),
    ]
    return html.Tr(
        [html.Td(content, className=kind, **attributes(data_label=t(f"data.{key}"))) for key, content, kind in cells],
        **attributes(data_words=f"{dataset.path} {dataset.format}".lower()),
    )


def _address(path: str) -> str:
    return f"/data?{urlencode({'path': path})}"


def _train(platform: "Platform", dataset: "Dataset", t: Texts, small: bool = False) -> dcc.Link | None:
    """A link to the form with this data filled in; None if no training reads its format."""
    fitting = _fitting(platform, dataset.format)
    if not fitting:
        return None
    extra = {} if small else {"id": "data-train"}
    style = "quiet btn-small" if small else "primary"
    href = f"/new?{urlencode({'type': fitting[0], 'data': dataset.path})}"
    title = t("data.train_of", name=dataset.path)
    return link_button(t("data.train"), href, "mortarboard", style, title=title, **extra)


def _fitting(platform: "Platform", data_format: str) -> list[str]:
    """Training types that read this format."""
    return [name for name, kind in platform.training_types().items() if kind.data_format == data_format]


# what can be fetched


def _hub(platform: "Platform", t: Texts) -> html.Section:
    source = os.environ.get("HF_ENDPOINT", HUB)
    entries = platform.hub_entries()
    groups: list[Any] = []
    for kind in KINDS:
        rows = [_hub_row(entry, t) for entry in entries if entry.kind == kind]
        columns = [t(f"data.{key}") for key in ("hub_name", "size", "hub_where", "hub_state")]
        groups.append(
            html.Details(
                [
                    html.Summary(
                        [icon("chevron-right"), t(f"data.hub_{kind}"), html.Span(len(rows), className="quiet")]
                    ),
                    table(columns, rows),
                ],
                open=kind == "data",
                className="hub-group",
            )
        )
    hint = t("data.hub_hint", source=source)
    return card(t("data.hub"), [html.Div(id="hub-banners", className="hub-banners"), *groups], hint=hint, id="hub")


def _hub_row(entry: "HubEntry", t: Texts) -> html.Tr:
    tag = html.Span(entry.format, className="tag", **attributes(data_tag=entry.format)) if entry.format else None
    facts = f"{entry.source} · {entry.licence}"
    name = [
        html.Span([html.Strong(entry.name), tag], className="name"),
        html.Div(t.hub(entry.name, entry.about), className="hub-about"),
        html.Div(facts, className="hub-facts"),
    ]
    cells: list[tuple[str, Any, str]] = [
        ("hub_name", name, "main"),
        ("size", "≈ " + formats.size(entry.bytes), "number"),
        ("hub_where", html.Span(entry.path, className="mono"), ""),
        ("hub_state", html.Div(className="hub-state"), "hub-cell"),
    ]
    return html.Tr(
        [html.Td(content, className=kind, **attributes(data_label=t(f"data.{key}"))) for key, content, kind in cells],
        **attributes(data_hub=entry.name),
    )


# one data set


def _opened(platform: "Platform", query: dict[str, str], t: Texts) -> html.Div:
    path = query["path"]
    dataset = next((found for found in platform.datasets() if found.path == path), None)
    crumbs = html.Nav([dcc.Link([icon("chevron-left"), t("data.title")], href="/data")], className="crumbs")
    if dataset is None:
        back = link_button(t("data.to_list"), "/data", style="primary")
        return html.Div([crumbs, empty("search", t("data.missing"), t("data.missing_hint", path=path), back)])
    known = html.Span(dataset.format or t("data.unknown"), className="tag", **attributes(data_tag=dataset.format))
    facts = html.Span(
        [
            html.Span(dataset.path, className="mono"),
            html.Span(formats.size(dataset.bytes)),
            html.Span(t("data.files", count=dataset.files)) if dataset.files else None,
            html.Span([t("data.changed_at"), " ", moment(dataset.modified_at)]),
        ],
        className="facts",
    )
    return html.Div(
        [
            crumbs,
            page_head([dataset.name, known], facts, _train(platform, dataset, t)),
            _choices(platform, dataset, query, t),
            html.Div(id="data-banners"),
            html.Div([_tile(key, t) for key in TILES], className="tiles", id="data-tiles", hidden=True),
            html.Div([_lengths(t), _findings(t)], className="charts data-parts", id="data-found", hidden=True),
            _preview(t),
        ],
        id="data-opened",
        className="page page-data",
        **attributes(
            data_title=dataset.name,
            data_path=dataset.path,
            data_fitting=" ".join(_fitting(platform, dataset.format)),
            data_prompts=" ".join(_fitting(platform, "rlaif")),
        ),
    )


def _choices(platform: "Platform", dataset: "Dataset", query: dict[str, str], t: Texts) -> html.Div:
    types = platform.training_types()
    fitting = _fitting(platform, dataset.format)
    options: list[Any] = [{"value": name, "label": t.title(name, types[name].title)} for name in fitting]
    options += [
        {"value": name, "label": t("data.type_other", title=t.title(name, types[name].title))}
        for name in types
        if name not in fitting
    ]
    if not fitting:
        options.insert(0, {"value": ANY_TYPE, "label": t("data.type_any")})
    asked = query.get("type", "")
    chosen = asked if asked in types else (fitting[0] if fitting else ANY_TYPE)
    lengths = {name: kind.defaults.get("max_seq_len", 0) for name, kind in types.items()}
    length = query.get("max_seq_len", "")
    length = length if length.isdigit() else str(lengths.get(chosen) or max(lengths.values()))
    return html.Div(
        [
            html.Div(
                [
                    dbc.Label(t("data.type"), html_for="data-type"),
                    dbc.Select(id="data-type", options=options, value=chosen),
                ],
                className="field",
            ),
            html.Div(
                [
                    dbc.Label(t("data.length"), html_for="data-length", id="data-length-label"),
                    dbc.Input(id="data-length", value=length, inputmode="numeric", autocomplete="off", maxlength=5),
                ],
                className="field",
            ),
            html.P(t("data.choices_hint"), className="quiet choices-hint"),
        ],
        className="data-choices",
    )


def _tile(key: str, t: Texts) -> html.Div:
    return html.Div(
        [
            html.Div(t(f"data.tile_{key}"), className="tile-label", id=f"data-{key}-label"),
            html.Div(html.Span("–", id=f"data-{key}"), className="tile-value"),
            html.Div("", id=f"data-{key}-note", className="tile-note"),
        ],
        className="panel tile",
    )


def _lengths(t: Texts) -> html.Section:
    head = html.Div([html.Div([html.H2(t("data.lengths")), html.P(id="data-lengths-hint")])], className="card-head")
    return html.Section([head, html.Div(id="chart-lengths", className="chart")], className="panel")


def _findings(t: Texts) -> html.Section:
    return html.Section(
        [html.Div(html.H2(t("data.check")), className="card-head"), html.Div(id="data-check", className="findings")],
        className="panel",
    )


def _preview(t: Texts) -> html.Section:
    legend = html.Div(
        [
            html.Mark(t("data.legend_loss"), className="loss"),
            html.Span(t("data.legend_plain")),
            html.Del(t("data.legend_cut"), className="cut"),
        ],
        className="legend",
        id="data-legend",
    )
    pager = html.Div(id="preview-pager", className="card-tools")
    head = html.Div(
        [html.Div([html.H2(t("data.preview")), html.P(t("data.preview_hint"))]), pager], className="card-head"
    )
    return html.Section(
        [head, legend, html.Div(id="preview-rows", **attributes(aria_live="off", aria_busy="true"))],
        className="panel preview",
    )
