"""One task, live: `/tasks/<id>`. `assets/70-task.js` fills in numbers, curves and log once a second from one request;
checkpoints and history are made here, again whenever the script says that they changed.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from dash import Dash, Input, Output, State, dcc, html

from dash_app import formats
from dash_app.attempts import attempts_panel
from dash_app.chart_panels import task_charts
from dash_app.charts import BY_REWARDS
from dash_app.components import attributes, empty, icon, link_button, moment, page_head, pill, tab_panel, tabs
from dash_app.forms import INTO_CONFIG_ONLY
from dash_app.log_panel import log_panel
from dash_app.pages import samples
from dash_app.pages.models import table, version_columns, version_row
from dash_app.texts import Texts
from minimind_platform import attempts_of, rewards_in_words
from minimind_platform.errors import PlatformError, TrackingUnavailableError

if TYPE_CHECKING:
    from minimind_platform import ConfigField, Platform, Task

TABS = ("overview", "samples", "settings", "checkpoints", "history")
TILES = ("step", "loss", "learning_rate", "speed", "time_left")
REWARD_TILES = ("step", "reward", "learning_rate", "speed", "time_left")
"""The loss of a training by rewards says little."""


def layout(platform: "Platform", task_id: str, t: Texts) -> html.Div:
    """The page of a task.

    Raises:
        NotFoundError: there is no such task.
    """
    task = platform.task(task_id)
    sampled = samples.has_samples(platform, task)
    return html.Div(
        [
            _head(platform, task, t),
            html.Div(id="task-banners"),
            tabs("task", [name for name in TABS if name != "samples" or sampled], t),
            tab_panel("overview", _overview(task, t)),
            tab_panel("samples", samples.panel(task, t), hidden=True) if sampled else None,
            tab_panel("settings", _settings(platform, task, t), hidden=True),
            tab_panel("checkpoints", html.Div(id="task-checkpoints"), hidden=True),
            tab_panel("history", html.Div(id="task-history"), hidden=True),
            dcc.Store(id="task-changed", data=0),
            dcc.Store(id="task-id", data=task.id),
        ],
        id="task-page",
        className="page page-task",
        **attributes(data_task=task.id, data_title=task.name),
    )


def add_callbacks(ui: Dash, platform: "Platform", texts: Callable[[], Texts]) -> None:
    """Checkpoints and history, when the page is opened and whenever the task moved on."""

    @ui.callback(
        Output("task-checkpoints", "children"),
        Output("task-history", "children"),
        Input("task-changed", "data"),
        State("task-id", "data"),
    )
    def changed(_count: int, task_id: str) -> tuple[Any, Any]:
        return checkpoints(platform, task_id, texts()), history(platform, task_id, texts())


def checkpoints(platform: "Platform", task_id: str, t: Texts) -> Any:
    """The saved versions of a task."""
    try:
        versions = platform.checkpoints(task_id)
    except TrackingUnavailableError:
        return empty("cloud-slash", t("task.checkpoints_away"), "")
    if not versions:
        return empty("flag-fill", t("task.no_checkpoints"), t("task.no_checkpoints_hint"))
    rows = [version_row(version, t) for version in versions]
    return html.Section(table(version_columns(t, with_task=False), rows), className="panel")


def history(platform: "Platform", task_id: str, t: Texts) -> Any:
    """Every move of a task with its reason, newest first."""
    rows = []
    for event in reversed(platform.events(task_id)):
        after = html.Span(
            t.pages.get(f"js.state.{event.after}", event.after), className="pill", **attributes(data_state=event.after)
        )
        cells = (
            ("when", moment(event.at, exact=True)),
            ("event", after),
            ("attempt", event.attempt or "–"),
            ("reason", t.reason(event.reason) or "–"),
        )
        rows.append(html.Tr([html.Td(content, **attributes(data_label=t(f"task.{key}"))) for key, content in cells]))
    columns = [t(f"task.{key}") for key in ("when", "event", "attempt", "reason")]
    tried = attempts_panel(attempts_of(platform.events(task_id)), t)
    return html.Div([tried, html.Section(table(columns, rows), className="panel")])


def _head(platform: "Platform", task: "Task", t: Texts) -> html.Div:
    facts: list[Any] = [html.Span(t.title(task.type)), html.Span([t("task.created"), " ", moment(task.created_at)])]
    if task.parent_id:
        facts.append(
            html.Span(
                [t("task.from"), " ", dcc.Link(task.parent_id[:8], href=f"/tasks/{task.parent_id}", className="mono")]
            )
        )
    facts.append(html.Span(id="task-device", className="mono"))
    facts.append(html.Span(task.id[:8], className="mono", title=task.id))
    title = [html.Span(task.name, id="task-name-text"), pill(task.state, t, id="task-state")]
    actions = [
        html.Div(id="task-actions", className="action-row"),
        link_button(t("task.clone"), f"/new?clone={task.id}", "copy", id="action-clone"),
        link_button(t("compare.link"), f"/compare?ids={task.id}", "graph-up", id="compare-link"),
    ]
    try:
        link = platform.run_link(task.id)
        out = [icon("box-arrow-up-right"), t("task.mlflow")]
        actions.append(
            html.A(out, href=link, target="_blank", rel="noopener", className="btn btn-quiet", id="mlflow-link")
        )
    except PlatformError:
        pass  # the run has no page there yet
    crumbs = html.Nav([dcc.Link([icon("chevron-left"), t("nav.tasks")], href="/tasks")], className="crumbs")
    return html.Div([crumbs, page_head(title, html.Span(facts, className="facts"), actions)])


def _overview(task: "Task", t: Texts) -> list[Any]:
    peak = t("js.peak", n=formats.rate(task.config.get("learning_rate") or 0.0))
    tiles = REWARD_TILES if task.type in BY_REWARDS else TILES
    return [
        html.Div([_tile(key, t, peak if key == "learning_rate" else "") for key in tiles], className="tiles"),
        task_charts(task, t),
        log_panel(task, t),
    ]


def _tile(key: str, t: Texts, note: str) -> html.Div:
    bar = html.Div(html.Div(id="tile-step-bar"), className="bar") if key == "step" else None
    return html.Div(
        [
            html.Div(t(f"task.{key}"), className="tile-label"),
            html.Div([html.Span("–", id=f"tile-{key}"), html.Small(id=f"tile-{key}-unit")], className="tile-value"),
            bar,
            html.Div(note, id=f"tile-{key}-note", className="tile-note"),
        ],
        className="panel tile",
    )


def _in_words(field: "ConfigField", value: Any) -> str:
    """A setting in a line; rewards in short."""
    return rewards_in_words(value or ()) if field.kind == "rewards" else formats.setting(value)


def _settings(platform: "Platform", task: "Task", t: Texts) -> html.Section:
    """All settings by group; those that differ from the default are marked."""
    kind = platform.training_types().get(task.type)
    fields = [field for field in kind.fields if field.name not in INTO_CONFIG_ONLY] if kind else []
    rows, changed = [], 0
    for field in fields:
        value, default = (_in_words(field, given) for given in (task.config.get(field.name), field.default))
        differs = value != default
        changed += differs
        rows.append(
            html.Tr(
                [
                    html.Th([t.label(field.name, kind), html.Code(field.name)], scope="row"),
                    html.Td(
                        [
                            html.Span(value or "–", className="mono value"),
                            html.Span(t("task.changed"), className="tag") if differs else None,
                        ]
                    ),
                    html.Td(default or "–", className="mono quiet"),
                ],
                className="changed" if differs else "same",
            )
        )
    head = html.Thead(html.Tr([html.Th(t(f"task.{key}"), scope="col") for key in ("setting", "value", "default")]))
    tool = html.Button(
        t("task.only_changed"),
        id="only-changed",
        className="btn btn-quiet btn-small",
        **attributes(aria_pressed="false"),
    )
    hint = t("task.settings_hint", changed=changed, total=len(rows))
    return html.Section(
        [
            html.Div([html.P(hint, className="quiet"), html.Div(tool, className="card-tools")], className="card-head"),
            html.Div(
                html.Table([head, html.Tbody(rows)], className="settings", id="settings-table"), className="list-wrap"
            ),
        ],
        className="panel",
    )
