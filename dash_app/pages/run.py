"""One run of the tracking server, live, whoever logged it: `/runs/<id>`. `assets/67-run.js` draws its charts; a run
that is a task has the task's page.
"""

import json
from typing import TYPE_CHECKING

from dash import dcc, html

from dash_app.components import attributes, card, empty, icon, link_button, moment, page_head
from dash_app.texts import Texts

if TYPE_CHECKING:
    from minimind_platform import Platform


def layout(platform: "Platform", run_id: str, t: Texts) -> html.Div:
    """The page of a run.

    Raises:
        NotFoundError: there is no such run.
        TrackingUnavailableError: the tracking server does not answer.
    """
    found = platform.comparisons.one(run_id)
    facts = found.facts
    if facts.task_id:
        link = dcc.Link(facts.name, href=f"/tasks/{facts.task_id}")
        return html.Div(html.P(link), id="run-task", className="page", **attributes(data_task=facts.task_id))
    words = t.pages.get(f"js.state.{found.state}", found.state)
    title = [facts.name, html.Span(words, id="run-state", className="pill", **attributes(data_state=found.state))]
    begun = [t("run.started"), " ", moment(facts.started_at)]
    subtitle = html.Span(
        [html.Span(begun), html.Span(facts.id[:8], className="mono", title=facts.id)], className="facts"
    )
    out = [icon("box-arrow-up-right"), t("task.mlflow")]
    actions = [
        link_button(t("compare.link"), f"/compare?ids={facts.id}", "graph-up", id="compare-link"),
        html.A(out, href=found.link, target="_blank", rel="noopener", className="btn btn-quiet", id="mlflow-link"),
    ]
    known = attributes(data_run=facts.id, data_keys=json.dumps(found.keys), data_state=found.state)
    return html.Div(
        [
            page_head(title, subtitle, actions),
            html.Div(id="run-banners"),
            html.Div(empty("graph-up", t("run.no_metrics"), t("run.no_metrics_hint")), id="run-empty", hidden=True),
            html.Div(id="charts", className="chart-panel"),
            _params(facts.params, t),
        ],
        id="run-page",
        className="page page-run",
        **known,
        **attributes(data_title=facts.name),
    )


def _params(params: dict[str, str], t: Texts) -> html.Section:
    rows = [
        html.Tr([html.Th(html.Code(name), scope="row"), html.Td(html.Span(value, className="mono value"))])
        for name, value in sorted(params.items())
    ]
    table = html.Table(html.Tbody(rows), className="settings")
    content = table if rows else html.P(t("run.no_params"), className="none-match")
    return card(t("run.params"), [content])
