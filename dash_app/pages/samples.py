"""The part of a task's page with what the model answered; `assets/71-samples.js` fills in the rows."""

from typing import TYPE_CHECKING, Any

import dash_bootstrap_components as dbc
from dash import html

from dash_app.components import attributes, icon
from dash_app.texts import Texts

if TYPE_CHECKING:
    from minimind_platform import Platform, Task

ORDERS = ("newest", "least", "most", "range")
RANGES = {"reward": ("low", "high"), "step": ("first_step", "last_step")}
REWARDED = "rlaif"
"""Data of the trainings that are rewarded for what the model answers."""


def has_samples(platform: "Platform", task: "Task") -> bool:
    """Whether a task is of a type that writes samples."""
    kind = platform.training_types().get(task.type)
    return kind is not None and kind.data_format == REWARDED


def panel(task: "Task", t: Texts) -> html.Section:
    """Filters, and the places for rows and pager."""
    options: Any = [{"label": t(f"samples.{order}"), "value": order} for order in ORDERS]
    choose = html.Div(
        [
            dbc.Label(t("samples.order"), html_for="samples-order"),
            dbc.Select(id="samples-order", options=options, value=ORDERS[0]),
        ],
        className="samples-filter",
    )
    download = html.A(
        [icon("download"), t("samples.download")],
        href=f"/api/tasks/{task.id}/samples/download",
        download="",
        id="samples-download",
        className="btn btn-quiet btn-small",
        hidden=True,
    )
    head = html.Div(
        [
            html.Div([html.H2(t("samples.title")), html.P(t("samples.hint"))]),
            html.Div(download, className="card-tools"),
        ],
        className="card-head",
    )
    filters = html.Div(
        [choose, _range("reward", t, hidden=True), _range("step", t)], className="samples-filters", role="search"
    )
    return html.Section(
        [
            head,
            filters,
            html.Div(id="samples-banners"),
            html.Div(id="samples-rows", className="list-wrap"),
            html.Div(id="samples-pager", className="pager"),
        ],
        id="task-samples",
        className="panel",
        **attributes(data_task=task.id),
    )


def _range(name: str, t: Texts, hidden: bool = False) -> html.Div:
    """Two inputs, from and to."""
    low, high = RANGES[name]
    inputs: list[Any] = []
    for key, end in ((low, "from"), (high, "to")):
        told = f"{t(f'samples.{name}')}, {t(f'samples.{end}')}"
        inputs.append(dbc.Label(told, html_for=f"samples-{key}", class_name="visually-hidden"))
        inputs.append(
            dbc.Input(
                id=f"samples-{key}", type="text", maxlength=20, autocomplete="off", placeholder=t(f"samples.{end}")
            )
        )
    label = html.Div(t(f"samples.{name}"), className="form-label", id=f"samples-{name}-label")
    return html.Div(
        [label, html.Div(inputs, className="samples-range")],
        id=f"samples-by-{name}",
        className="samples-filter",
        hidden=hidden,
    )
