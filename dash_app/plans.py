"""The plan beside the form of a training: what it will take, and what is known of its settings."""

from typing import TYPE_CHECKING, Any

from dash import html

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
        *(_of_answers(preflight) if preflight.seconds is None else _of_rows(preflight, t)),
        ("disk", formats.size(preflight.disk_bytes)),
    )
    entries = [html.Div([html.Dt(t(f"new.plan_{key}")), html.Dd(text, id=f"plan-{key}")]) for key, text in rows]
    source = "unknown" if preflight.seconds is None else "measured" if preflight.estimated_from else "rule"
    return [html.Dl(entries), html.P(t(f"new.plan_{source}"), className="quiet")]


def _of_rows(preflight: "Preflight", t: Texts) -> list[tuple[str, str]]:
    return [
        ("rows", formats.whole(preflight.rows)),
        ("tokens", formats.short(preflight.tokens)),
        ("steps", formats.whole(preflight.steps)),
        ("time", "≈ " + formats.duration(preflight.seconds or 0.0, t)),
    ]


def _of_answers(preflight: "Preflight") -> list[tuple[str, str]]:
    """Of a training by rewards: how much the model writes."""
    return [
        ("prompts", formats.whole(preflight.rows)),
        ("steps", formats.whole(preflight.steps)),
        ("answers", formats.whole(preflight.answers_a_step)),
        ("written", "≤ " + formats.short(preflight.written_a_step)),
        ("memory", "≥ " + formats.size(preflight.memory_bytes)),
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
