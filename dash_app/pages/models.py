"""Registered versions and loose weight files: `/models`."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from dash import Dash, Input, Output, dcc, html

from dash_app import formats
from dash_app.components import attributes, card, empty, icon, link_button, moment, notice, page_head, search_box
from dash_app.texts import Texts
from minimind_platform.errors import NotFoundError, TrackingUnavailableError

if TYPE_CHECKING:
    from minimind_platform import ModelVersion, Platform, WeightFile

MOST_ROWS = 500
"""Rows that a page shows; the search finds the others."""


def layout(platform: "Platform", t: Texts) -> html.Div:
    """Search and lists."""
    return html.Div(
        [
            page_head(t("models.title"), t("models.subtitle")),
            html.Div(search_box("model-search", t("models.search")), className="filters"),
            html.Div(lists(platform, "", t), id="model-lists"),
        ],
        className="page page-models",
        **attributes(data_title=t("models.title")),
    )


def add_callbacks(ui: Dash, platform: "Platform", texts: Callable[[], Texts]) -> None:
    """Search."""

    @ui.callback(Output("model-lists", "children"), Input("model-search", "value"), prevent_initial_call=True)
    def search(words: str | None) -> list[Any]:
        return lists(platform, words or "", texts())


def lists(platform: "Platform", words: str, t: Texts) -> list[Any]:
    """Both lists, reduced to what has all the words."""
    away = None
    try:
        versions = platform.models()
    except TrackingUnavailableError:
        versions, away = [], notice("cloud-slash", t("models.away"))
    files = platform.weight_files()
    if not versions and not files:
        nothing = empty(
            "box-seam",
            t("models.empty"),
            t("models.empty_hint"),
            link_button(t("nav.new"), "/new", "plus-circle", "primary"),
        )
        return [away or nothing]
    names = {id_: _task_name(platform, id_) for id_ in {v.task_id for v in versions[:MOST_ROWS]}}
    matching = [
        v for v in versions if _has(words, v.name, v.type, names.get(v.task_id, ""), *v.aliases, str(v.version))
    ]
    loose = [f for f in files if _has(words, f.name)]
    if not matching and not loose:
        return [away, html.P(t("models.none_match", words=words), className="none-match")]
    shown: list[Any] = [away]
    if matching:
        names |= {id_: _task_name(platform, id_) for id_ in {v.task_id for v in matching[:MOST_ROWS]} - names.keys()}
        rows = [version_row(v, t, names[v.task_id]) for v in matching[:MOST_ROWS]]
        shown.append(card(t("models.versions"), [table(version_columns(t, with_task=True), rows)]))
    if loose:
        shown.append(
            card(
                t("models.weights"),
                [table(_weight_columns(t), [_weight_row(f, t) for f in loose])],
                hint=t("models.weights_hint"),
            )
        )
    return shown


def version_columns(t: Texts, with_task: bool) -> list[str]:
    """Headings for `version_row`."""
    keys = [
        "version",
        "type",
        "step",
        "loss",
        "evaluation",
        "size",
        *(["task"] if with_task else []),
        "time",
        "actions",
    ]
    return [t(f"models.{key}") for key in keys]


def version_row(version: "ModelVersion", t: Texts, task_name: str | None = None) -> html.Tr:
    """One registered version. With a task's name it links to the task."""
    title = f"{version.name} / {version.version}"
    path = f"/api/models/{quote(version.name)}/{version.version}/download"
    tags = [html.Span(t.pages.get(f"alias.{a}", a), className="tag", **attributes(data_tag=a)) for a in version.aliases]
    base = f"models:/{version.name}/{version.version}"
    cells: list[tuple[str, Any, str]] = [
        ("version", [html.Span([html.Strong(version.name), f" / {version.version}"], className="name"), *tags], "main"),
        ("type", [t.title(version.type), _base(version, t)], ""),
        ("step", formats.whole(version.step), "number"),
        ("loss", formats.loss(version.loss if version.eval_reward is None else None), "number"),
        ("evaluation", evaluation(version, t), "number"),
        ("size", formats.size(version.bytes), "number"),
    ]
    if task_name is not None:
        cells.append(("task", dcc.Link(task_name or version.task_id[:8], href=f"/tasks/{version.task_id}"), ""))
    cells += [("time", moment(version.created_at), ""), ("actions", _actions(title, path, base, t), "actions")]
    return _row(cells, t)


def evaluation(version: "ModelVersion", t: Texts) -> str:
    """The loss on held-out data, or the reward of answers to held-out prompts."""
    if version.eval_reward is not None:
        return t("models.eval_reward", n=formats.loss(version.eval_reward))
    return formats.loss(version.eval_loss)


def _base(version: "ModelVersion", t: Texts) -> Any:
    """Adapters are nothing without their base, so it is told beside them."""
    if not version.lora_rank:
        return None
    name = version.base.rpartition("/")[2] if version.base.startswith("/") else version.base.removeprefix("models:/")
    return html.Div(t("models.adapter_of", base=name), className="quiet", title=version.base)


def table(columns: list[str], rows: Iterable[html.Tr]) -> html.Div:
    """A table that becomes a list of cards on a narrow screen."""
    head = html.Thead(html.Tr([html.Th(text, scope="col") for text in columns]))
    return html.Div(html.Table([head, html.Tbody(list(rows))], className="list"), className="list-wrap")


def _row(cells: list[tuple[str, Any, str]], t: Texts) -> html.Tr:
    return html.Tr(
        [html.Td(content, className=kind, **attributes(data_label=t(f"models.{key}"))) for key, content, kind in cells]
    )


def _weight_columns(t: Texts) -> list[str]:
    return [t(f"models.{key}") for key in ("file", "hidden_size", "size", "time", "actions")]


def _weight_row(file: "WeightFile", t: Texts) -> html.Tr:
    name = [
        html.Span(html.Strong(file.name), className="name"),
        html.Span(t("models.moe"), className="tag") if file.moe else None,
        html.Span("LoRA", className="tag") if file.lora else None,
    ]
    cells = [
        ("file", name, "main"),
        ("hidden_size", formats.whole(file.hidden_size), "number"),
        ("size", formats.size(file.bytes), "number"),
        ("time", moment(file.modified_at), ""),
        ("actions", _actions(file.name, f"/api/weights/{quote(file.name)}/download", f"out/{file.name}", t), "actions"),
    ]
    return _row(cells, t)


def _actions(title: str, download: str, base: str, t: Texts) -> list[Any]:
    train = urlencode({"type": "sft", "base": base})
    return [
        html.A(
            [icon("download"), html.Span(t("models.download"))],
            href=download,
            download="",
            className="btn btn-quiet btn-small",
            **attributes(aria_label=t("models.download_of", name=title)),
        ),
        dcc.Link(
            [icon("mortarboard"), html.Span(t("models.train"))],
            href=f"/new?{train}",
            className="btn btn-quiet btn-small",
            title=t("models.train_of", name=title),
        ),
    ]


def _task_name(platform: "Platform", task_id: str) -> str:
    try:
        return platform.task(task_id).name if task_id else ""
    except NotFoundError:
        return ""


def _has(words: str, *texts: str) -> bool:
    text = " ".join(texts).lower()
    return all(word in text for word in words.lower().split())
