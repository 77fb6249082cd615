"""The plan beside the form of a training: what it will take, and what is known of its settings."""

from typing import TYPE_CHECKING, Any

from dash import dcc, html

from dash_app import formats
from dash_app.components import attributes, icon
from dash_app.texts import Texts

if TYPE_CHECKING:
    from minimind_platform import Check, Preflight, Problem, TrainingType


def plan_card(check: "Check | None", kind: "TrainingType", t: Texts) -> html.Aside:
    """The card with the plan and the button that starts; without a check while there is no data yet."""
    told = [*plan(check.preflight, t), *advice(check.advice, kind, t)] if check else plan(None, t)
    return html.Aside(
        [
            html.Div(html.H2(t("new.plan")), className="card-head"),
            html.Div(told, id="plan", className="plan", **attributes(aria_live="polite")),
            html.Button([icon("play-fill"), t("new.submit")], id="submit-task", className="btn btn-primary btn-wide"),
            html.P(t("new.submit_hint"), className="quiet submit-hint"),
        ],
        className="panel plan-card",
    )


def plan(preflight: "Preflight | None", t: Texts) -> list[Any]:
    """How large and long the training will be."""
    if preflight is None:
        return [html.P(t("new.plan_wait"), className="quiet")]
    rows = (
        ("parameters", formats.short(preflight.parameters)),
        *([("trainable", formats.short(preflight.trainable))] if preflight.trainable else []),
        *(_of_answers(preflight) if preflight.answers_a_step else _of_rows(preflight)),
        *([] if preflight.seconds is None else [("time", "≈ " + formats.duration(preflight.seconds, t))]),
        ("memory", "≈ " + _of(preflight.memory_bytes, preflight.device_bytes, t)),
        ("disk", "≤ " + _of(preflight.disk_bytes, preflight.free_disk_bytes, t)),
    )
    entries = [html.Div([html.Dt(t(f"new.plan_{key}")), html.Dd(text, id=f"plan-{key}")]) for key, text in rows]
    return [*_warnings(preflight, t), html.Dl(entries), html.P(_source(preflight, t), className="quiet")]


def _of(needed: int, there: int, t: Texts) -> str:
    """What is needed, of what is there."""
    return t("new.plan_of", n=formats.size(needed), there=formats.size(there)) if there else formats.size(needed)


def _warnings(preflight: "Preflight", t: Texts) -> list[Any]:
    found = [("memory", preflight.too_large), ("disk", preflight.too_much)]
    warn = icon("exclamation-triangle-fill")
    return [html.P([warn, t(f"new.plan_no_{key}")], className="plan-warn") for key, short in found if short]


def _source(preflight: "Preflight", t: Texts) -> Any:
    """Where the time is known from."""
    if not preflight.estimated_from:
        return t("new.plan_unknown" if preflight.seconds is None else "new.plan_rule")
    name = preflight.estimated_name or preflight.estimated_from[:8]
    return [t("new.plan_measured"), " ", dcc.Link(name, href=f"/tasks/{preflight.estimated_from}", target="_blank")]


def _of_rows(preflight: "Preflight") -> list[tuple[str, str]]:
    return [
        ("rows", formats.whole(preflight.rows)),
        ("tokens", formats.short(preflight.tokens)),
        ("steps", formats.whole(preflight.steps)),
    ]


def _of_answers(preflight: "Preflight") -> list[tuple[str, str]]:
    """Of a training by rewards: how much the model writes."""
    return [
        ("prompts", formats.whole(preflight.rows)),
        ("steps", formats.whole(preflight.steps)),
        ("answers", formats.whole(preflight.answers_a_step)),
        ("written", "≤ " + formats.short(preflight.written_a_step)),
    ]


def advice(found: list["Problem"], kind: "TrainingType", t: Texts) -> list[Any]:
    """What is known of these settings, each at its field."""
    return [
        html.P(
            [
                icon("exclamation-triangle-fill"),
                html.Span(
                    [
                        html.A(t.label(item.field, kind), href=f"#field-{item.field}", className="jump"),
                        ": ",
                        t.problem(item),
                        *_better(item, t),
                    ]
                ),
            ],
            className="plan-advice",
        )
        for item in found
    ]


def _better(item: "Problem", t: Texts) -> list[Any]:
    """A button that sets a field to what is advised."""
    value = item.values.get("better")
    if value is None:
        return []
    told = attributes(data_pick=item.field, data_value=value, type="button")
    return [html.Button(t("new.advice_set", value=value), className="btn btn-quiet btn-small", **told)]
