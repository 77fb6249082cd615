"""The Dash application: the frame around all pages, and which page a path shows."""

import json
import logging
import re
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import dash_bootstrap_components as dbc
import flask
from dash import ClientsideFunction, Dash, Input, Output, State, dcc, html, no_update

from dash_app.bundles import Bundles
from dash_app.components import attributes, empty, icon, link_button
from dash_app.pages import compare, data, models, new_sweep, new_task, run, sweep, sweeps, system, task, tasks, trash
from dash_app.texts import LANGUAGES, Texts, pick_texts
from minimind_platform.errors import NotFoundError, PlatformError

if TYPE_CHECKING:
    from minimind_platform import Platform

logger = logging.getLogger(__name__)

ASSETS = Path(__file__).parent / "assets"
BOOT = "00-boot.js"
BUNDLES = Bundles(ASSETS, apart={BOOT})
CURVE_PAGE = re.compile("/(?:tasks|runs)/([0-9a-f]{32})")
"""Pages with charts."""
INDEX = """<!DOCTYPE html>
<html lang="{lang}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<link rel="icon" type="image/svg+xml" href="/assets/logo.svg">
<script src="/assets/{boot}?v={version}"></script>
<link rel="stylesheet" href="{style}">
</head>
<body>
<div id="react-entry-point">
<div class="_dash-loading"><img src="/assets/logo.svg" alt="" width="40" height="40"></div>
</div>
<footer>{config}{scripts}<script src="{script}"></script>{renderer}</footer>
</body>
</html>"""
NAVIGATION = (
    ("nav.new", "/new", "plus-circle"),
    ("nav.tasks", "/tasks", "list-task"),
    ("nav.sweeps", "/sweeps", "sliders"),
    ("nav.compare", "/compare", "graph-up"),
    ("nav.data", "/data", "database"),
    ("nav.models", "/models", "box-seam"),
    ("nav.system", "/system", "cpu"),
)
PAGES: dict[str, Callable[["Platform", dict[str, str], Texts], Any]] = {
    "/": lambda platform, _query, t: tasks.layout(platform, t),
    "/tasks": lambda platform, _query, t: tasks.layout(platform, t),
    "/new": new_task.layout,
    "/sweeps": lambda platform, _query, t: sweeps.layout(platform, t),
    "/sweeps/new": new_sweep.layout,
    "/compare": compare.layout,
    "/data": data.layout,
    "/models": lambda platform, _query, t: models.layout(platform, t),
    "/trash": lambda platform, _query, t: trash.layout(platform, t),
    "/system": lambda platform, _query, t: system.layout(platform, t),
}
"""What stands at a path."""
ONE = {"tasks": (task.layout, "task"), "sweeps": (sweep.layout, "sweep"), "runs": (run.layout, "run")}
"""Pages of one thing, by the path of its list, and how their texts begin."""


class _Ui(Dash):
    """Dash with our own index page, in the language of the request."""

    def interpolate_index(self, **parts: Any) -> str:
        version = int((ASSETS / BOOT).stat().st_mtime)
        chosen = {key: parts[key] for key in ("title", "config", "scripts", "renderer")}
        own = {"script": BUNDLES.script.url, "style": BUNDLES.style.url, "boot": BOOT, "version": version}
        return INDEX.format(lang=current_texts().html_lang, **own, **chosen)


def current_texts() -> Texts:
    """The language of the request that is being answered."""
    return pick_texts(flask.request.cookies.get("lang"), flask.request.headers.get("Accept-Language"))


def create_ui(platform: "Platform") -> Dash:
    """The pages around one platform, on a Flask server of their own."""
    ui = _Ui(
        __name__,
        title="MiniMind Platform",
        update_title=None,  # type: ignore[arg-type]
        assets_folder=str(ASSETS),
        assets_ignore=".*",  # they come as bundles
        suppress_callback_exceptions=True,
        on_error=_log_error,
    )
    ui.layout = lambda: _first(platform)
    ui.server.before_request(lambda: _prepare_curves(platform))
    ui.server.after_request(_tell_unknown_pages)

    @ui.callback(
        Output("page", "children"),
        Output("first-page", "data"),
        Input("url", "pathname"),
        Input("url", "search"),
        State("first-page", "data"),
    )
    def show_page(path: str, search: str, first: str) -> Any:
        if first and first == f"{path}{search or ''}":
            return no_update, ""
        return _page(platform, path or "/", search or ""), ""

    ui.clientside_callback(
        ClientsideFunction("minimind", "pageShown"), Input("page", "children"), prevent_initial_call=True
    )
    new_task.add_callbacks(ui, platform, current_texts)
    new_sweep.add_callbacks(ui, platform, current_texts)
    models.add_callbacks(ui, platform, current_texts)
    task.add_callbacks(ui, platform, current_texts)
    return ui


def _first(platform: "Platform") -> html.Div:
    """The frame with the page that the browser has opened: it need not be asked for once more."""
    opened = urlsplit(flask.request.referrer or "")
    search = f"?{opened.query}" if opened.query else ""
    if not opened.path or not is_page(opened.path):
        return _frame(current_texts(), html.Div(className="page-wait"), "")
    return _frame(current_texts(), _page(platform, opened.path, search), f"{opened.path}{search}")


def _page(platform: "Platform", path: str, search: str) -> html.Div:
    query = {key: values[0] for key, values in parse_qs(search.lstrip("?")).items()}
    try:
        content = page_for(platform, path, query, current_texts())
    except Exception as error:
        logger.exception("The page %s cannot be shown.", path)
        content = _failed(error, current_texts())
    token = uuid.uuid4().hex  # so that scripts and React take it for a new page, also of the same kind
    return html.Div(content, key=token, **attributes(data_page_token=token))


def page_for(platform: "Platform", path: str, query: dict[str, str], t: Texts) -> Any:
    """The content of the page at a path."""
    parts = path.rstrip("/") or "/"
    if parts in PAGES:
        return PAGES[parts](platform, query, t)
    first, _, one = parts.lstrip("/").partition("/")
    if first in ONE and one and "/" not in one:
        shown, name = ONE[first]
        try:
            return shown(platform, one, t)
        except NotFoundError:
            back = link_button(t(f"{name}.to_{first}"), "/tasks" if first == "runs" else f"/{first}", style="primary")
            return empty("search", t(f"{name}.not_found"), t(f"{name}.not_found_hint", id=one), back)
    text = t("page.not_found_hint", path=path)
    return empty("search", t("page.not_found"), text, link_button(t("task.to_tasks"), "/tasks", style="primary"))


def _failed(error: Exception, t: Texts) -> html.Div:
    reason = f"{error.message} {error.hint}".strip() if isinstance(error, PlatformError) else type(error).__name__
    return empty("exclamation-octagon-fill", t("page.failed"), reason)


def is_page(path: str) -> bool:
    """Whether a path is one of our pages; whether its task exists is told by the page."""
    parts = path.strip("/").split("/")
    return f"/{'/'.join(parts)}" in PAGES or (len(parts) == 2 and parts[0] in ONE)


def _prepare_curves(platform: "Platform") -> None:
    """Have the curve of a page read while the browser starts the page: a long one takes half a second."""
    if found := CURVE_PAGE.fullmatch(flask.request.path):
        platform.curves.prepare(found[1])


def _tell_unknown_pages(response: flask.Response) -> flask.Response:
    """Dash answers every path with its index; for unknown ones the status says so."""
    path = flask.request.path
    if response.mimetype == "text/html" and response.status_code == 200 and not is_page(path):
        response.status_code = 404
    if response.mimetype in ("text/html", "application/json"):
        response.headers["Cache-Control"] = "no-store"
    return response


def _log_error(error: Exception) -> None:
    logger.error("A page's callback failed.", exc_info=error)


def _frame(t: Texts, page: html.Div, opened: str) -> html.Div:
    """What stands around all pages; `opened` is the address of the first one, if it is there already."""
    scripts = {key.removeprefix("js."): text for key, text in t.pages.items() if key.startswith("js.")}
    return html.Div(
        [
            dcc.Location(id="url", refresh="callback-nav"),
            html.Div(id="texts", hidden=True, **attributes(data_texts=json.dumps(scripts), data_lang=t.html_lang)),
            html.A(t("skip"), href="#page", className="skip-link"),
            _sidebar(t),
            dcc.Store(id="first-page", data=opened),
            html.Main(page, id="page", tabIndex="-1"),
            html.Div(id="toasts", role="status", **attributes(aria_live="polite")),
        ],
        id="frame",
    )


def _badge(href: str) -> list[html.Span]:
    """Where `assets/63-system.js` says on every page that the machine needs a look."""
    return [html.Span(id="system-badge", className="nav-badge", hidden=True)] if href == "/system" else []


def _sidebar(t: Texts) -> html.Div:
    other = next(code for code in LANGUAGES if code != t.language)
    links = [
        dbc.NavLink([icon(name), html.Span(t(key)), *_badge(href)], href=href, active="partial", id=f"nav-{href[1:]}")
        for key, href, name in NAVIGATION
    ]
    mlflow = html.A(
        [icon("graph-down"), html.Span(t("nav.mlflow")), icon("box-arrow-up-right")],
        href="/mlflow/",
        target="_blank",
        rel="noopener",
        className="nav-link nav-out",
        title=t("opens_new_tab"),
    )
    brand = dcc.Link(
        [html.Img(src="/assets/logo.svg", alt=""), html.Span(t("product"))], href="/tasks", className="brand"
    )
    tools = html.Div(
        [
            html.Button(
                icon("circle-half"),
                id="theme-toggle",
                className="btn btn-quiet btn-icon",
                **attributes(aria_label=t("theme.label")),
            ),
            html.A(
                t("language.other"),
                id="language-link",
                href=f"/set-lang?l={other}",
                lang=LANGUAGES[other][0].HTML_LANG,
                title=t("language.label"),
                className="btn btn-quiet",
            ),
            html.Button(
                icon("keyboard"),
                id="keys-help",
                className="btn btn-quiet btn-icon",
                title=t("js.keys_title"),
                **attributes(aria_label=t("js.keys_title")),
            ),
        ],
        className="side-tools",
    )
    nav = html.Nav([*links, mlflow], className="side-nav", **attributes(aria_label=t("nav.label")))
    return html.Div([brand, nav, tools], className="sidebar")
