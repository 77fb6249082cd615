"""One sweep, live: `/sweeps/<id>`. `assets/86-sweep.js` fills in numbers and trials once a second from one request,
`assets/87-sweep-charts.js` draws the charts that are on screen, `assets/88-trials.js` keeps the table.
"""

import json
from typing import TYPE_CHECKING, Any

import dash_bootstrap_components as dbc
from dash import dcc, html

from dash_app import formats
from dash_app.components import attributes, icon, link_button, moment, page_head, tab_panel, tabs
from dash_app.pages.models import table
from dash_app.texts import Texts
from minimind_platform.errors import PlatformError
from minimind_platform.sweeps.promotion import LENGTH
from minimind_platform.sweeps.spec import FOR_TRIALS, REWARDED

if TYPE_CHECKING:
    from minimind_platform import Platform
    from minimind_platform.sweeps.views import Sweep

TABS = ("overview", "effects", "trials", "setup")
TILES = ("trials", "best", "running", "time", "device")


def layout(platform: "Platform", sweep_id: str, t: Texts) -> html.Div:
    """The page of a sweep.

    Raises:
        NotFoundError: there is no such sweep.
    """
    sweep = platform.sweeps.get(sweep_id)
    return html.Div(
        [
            _head(platform, sweep, t),
            html.Div(id="sweep-banners"),
            tabs("sweep", TABS, t),
            tab_panel("overview", _overview(sweep, t)),
            tab_panel("effects", _effects(sweep, t), hidden=True),
            tab_panel("trials", _trials(t), hidden=True),
            tab_panel("setup", _setup(platform, sweep, t), hidden=True),
        ],
        id="sweep-page",
        className="page page-sweep",
        **attributes(data_sweep=sweep.id, data_title=sweep.name, data_told=json.dumps(_told(platform, sweep, t))),
    )


def _told(platform: "Platform", sweep: "Sweep", t: Texts) -> dict[str, Any]:
    """What the scripts need to know beside numbers: the space, and settings that a full run may change."""
    fields = {field.name: field for field in platform.training_types()[sweep.type].fields}
    space = [
        {
            "name": param.name,
            "label": t.label(param.name),
            "kind": param.kind,
            "choices": [formats.setting(choice) for choice in param.choices],
            "text": param.text,
            "when": " · ".join(f"{name} = {' / '.join(map(str, held))}" for name, held in param.when.items()),
        }
        for param in sweep.spec.params
    ]
    kept = {name: fields[name].default for name in FOR_TRIALS}  # what trials have for being many is as usual again
    length = [
        {"name": name, "label": t.label(name), "value": formats.setting(value)}
        for name in (*LENGTH, *FOR_TRIALS)
        for value in [kept.get(name, sweep.spec.values.get(name, fields[name].default))]
    ]
    goals = [goal.model_dump() for goal in sweep.spec.objectives]
    return {
        "name": sweep.name,
        "space": space,
        "promote": length,
        "goes_on": sweep.type not in REWARDED,
        "goals": goals,
        "function": sweep.spec.function,
    }


def _head(platform: "Platform", sweep: "Sweep", t: Texts) -> html.Div:
    goals = " · ".join(f"{goal.metric} ({t('sweep.' + goal.direction)})" for goal in sweep.spec.objectives)
    facts = [
        html.Span(t.title(sweep.type)),
        html.Span([t("sweep.created"), " ", moment(sweep.created_at)]),
        html.Span(goals),
        html.Span(sweep.id[:8], className="mono", title=sweep.id),
    ]
    state = html.Span(t(f"js.state.{sweep.state}"), className="pill", id="sweep-state", **_state(sweep))
    title = [html.Span(sweep.name, id="sweep-name-text"), state]
    actions: list[Any] = [html.Div(id="sweep-actions", className="action-row")]
    if not sweep.spec.function:
        actions.append(link_button(t("sweep.clone"), f"/sweeps/new?like={sweep.id}", "copy", id="action-clone"))
    actions += _mlflow_links(platform, sweep, t)
    crumbs = html.Nav([dcc.Link([icon("chevron-left"), t("sweeps.title")], href="/sweeps")], className="crumbs")
    return html.Div([crumbs, page_head(title, html.Span(facts, className="facts"), actions)])


def _state(sweep: "Sweep") -> dict[str, Any]:
    return attributes(data_state=str(sweep.state))


def _mlflow_links(platform: "Platform", sweep: "Sweep", t: Texts) -> list[Any]:
    """To the parent run, and to its trials side by side."""
    try:
        link = platform.sweeps.run_link(sweep.id)
    except PlatformError:
        return []  # the run has no page there yet
    runs = f"/api/sweeps/{sweep.id}/compare"  # those that there are when it is clicked
    shared: Any = {"target": "_blank", "rel": "noopener", "className": "btn btn-quiet"}
    out = icon("box-arrow-up-right")
    return [
        html.A([out, t("sweep.mlflow")], href=link, id="mlflow-link", **shared),
        html.A([out, t("sweep.compare")], href=runs, id="compare-link", title=t("sweep.compare_hint"), **shared),
    ]


def _overview(sweep: "Sweep", t: Texts) -> list[Any]:
    several = len(sweep.spec.objectives) > 1
    first = _chart("front" if several else "history", t, _objective(sweep, "front", t) if several else None)
    title = t("sweep.best_of_several" if several else "sweep.best")
    best = html.Section(
        [
            html.Div(html.H2(title), className="card-head"),
            html.Div(id="sweep-best", className="sweep-best"),
        ],
        className="panel",
    )
    return [
        html.Div([_tile(key, t) for key in TILES], className="tiles"),
        html.Div([first, best], className="charts"),
        html.Div([_chart("intermediate", t)], className="charts charts-one"),
        html.Div([_chart("timeline", t)], className="charts charts-one"),
    ]


def _effects(sweep: "Sweep", t: Texts) -> list[Any]:
    names = [param.name for param in sweep.spec.params]
    options: Any = [{"value": name, "label": t.label(name)} for name in names]
    picks = [
        part
        for axis, chosen in (("x", names[0] if names else ""), ("y", names[1] if len(names) > 1 else ""))
        for part in (
            dbc.Label(t(f"sweep.axis_{axis}"), html_for=f"contour-{axis}", class_name="visually-hidden"),
            dbc.Select(id=f"contour-{axis}", options=options, value=chosen, class_name="select-small"),
        )
    ]
    more = [html.Div([_chart("contour", t, picks)], className="charts charts-one")] if len(names) > 1 else []
    which = html.Div(_objective(sweep, "effects", t), className="filters") if len(sweep.spec.objectives) > 1 else None
    return [
        which,
        html.Div([_chart("parallel", t), _chart("importance", t)], className="charts"),
        html.Div([_chart("slice", t)], className="charts charts-one"),
        *more,
    ]


def _objective(sweep: "Sweep", place: str, t: Texts) -> list[Any]:
    """A list of objectives to look at; the front shows the first against one of the others."""
    goals = list(enumerate(sweep.spec.objectives))
    if place == "front" and len(goals) < 3:
        return []
    options: Any = [{"value": str(index), "label": goal.metric} for index, goal in goals if place != "front" or index]
    id_ = f"objective-{place}"
    return [
        dbc.Label(t("sweep.objective"), html_for=id_, class_name="visually-hidden"),
        dbc.Select(id=id_, options=options, value=options[0]["value"], class_name="select-small"),
    ]


def _tile(key: str, t: Texts) -> html.Div:
    bar = html.Div(html.Div(id="tile-trials-bar"), className="bar") if key == "trials" else None
    return html.Div(
        [
            html.Div(t(f"sweep.tile_{key}"), className="tile-label"),
            html.Div([html.Span("–", id=f"tile-{key}"), html.Small(id=f"tile-{key}-unit")], className="tile-value"),
            bar,
            html.Div(id=f"tile-{key}-note", className="tile-note"),
        ],
        className="panel tile",
    )


def _chart(key: str, t: Texts, tools: Any = None) -> html.Section:
    head = html.Div([html.H2(t(f"sweep.chart_{key}")), html.P(t(f"sweep.hint_{key}"))])
    return html.Section(
        [
            html.Div([head, html.Div(tools, className="card-tools")], className="card-head"),
            html.Div(id=f"chart-{key}", className="chart chart-sweep", **attributes(data_chart=key)),
        ],
        className="panel",
    )


def _trials(t: Texts) -> html.Section:
    add = html.Button([icon("plus-circle"), t("sweep.add_trial")], id="trial-add", className="btn btn-quiet")
    return html.Section(
        [
            html.Div(
                [html.P(t("sweep.trials_hint"), className="quiet"), html.Div(add, className="card-tools")],
                className="card-head",
            ),
            html.Div(id="trial-list"),
        ],
        className="panel",
    )


def _setup(platform: "Platform", sweep: "Sweep", t: Texts) -> list[Any]:
    """What the sweep searches, what stays the same, and how it searches."""
    spec, kind = sweep.spec, platform.training_types()[sweep.type]
    space = [(_named(t.label(p.name, kind), p.name), html.Span(p.text, className="mono")) for p in spec.params]
    values = [
        (_named(t.label(name, kind), name), html.Span(formats.setting(value), className="mono value"))
        for name, value in spec.values.items()
    ]
    options = [
        (_named(t.sweep_option(field)[0], field.name), html.Span(formats.setting(spec.options[field.name])))
        for field in platform.sweeps.options()
    ]
    goals = [(goal.metric, t(f"sweep.{goal.direction}"), t(f"sweep.taken_{goal.taken}")) for goal in spec.objectives]
    columns = [t("sweep.metric"), t("sweep.direction"), t("sweep.taken")]
    nothing = html.P(t("sweep.no_fixed"), className="quiet setup-note")
    function = html.P(t("sweep.function"), className="quiet setup-note")
    return [
        _part("goals", table(columns, _rows(goals, columns)), t),
        _part("space", _pairs(space, "range", t) if space else function, t),
        _part("values", [_pairs(values, "value", t) if values else nothing], t),
        _part("options", _pairs(options, "value", t), t),
    ]


def _named(label: str, name: str) -> list[Any]:
    return [label, html.Code(name)]


def _part(key: str, content: Any, t: Texts) -> html.Section:
    head = html.Div(html.H2(t(f"sweep.setup_{key}")), className="card-head")
    return html.Section([head, html.Div(content)], className="panel setup-part")


def _pairs(pairs: list[Any], second: str, t: Texts) -> html.Div:
    head = html.Thead(html.Tr([html.Th(t("sweep.setting"), scope="col"), html.Th(t(f"sweep.{second}"), scope="col")]))
    rows = [html.Tr([html.Th(name, scope="row"), html.Td(value)]) for name, value in pairs]
    return html.Div(html.Table([head, html.Tbody(rows)], className="settings settings-two"), className="list-wrap")


def _rows(rows: list[Any], labels: list[str]) -> list[Any]:
    return [
        html.Tr([html.Td(cell, **attributes(data_label=label)) for cell, label in zip(row, labels, strict=True)])
        for row in rows
    ]
