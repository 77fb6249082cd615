"""The part of the form where rewards are put together: a card for each, made by `assets/81-rewards.js`. What they say
is JSON text in the field itself, so that presets, copies and problems work as for any other field.
"""

import json
from typing import TYPE_CHECKING, Any

import dash_bootstrap_components as dbc
from dash import html

from dash_app.components import attributes, icon
from dash_app.texts import Texts

if TYPE_CHECKING:
    from minimind_platform import ConfigField, Problem, RewardKind


def text_of(value: Any) -> str:
    """Rewards as JSON text, from a config or as they were typed."""
    return value if isinstance(value, str) else json.dumps([_short(reward) for reward in value], ensure_ascii=False)


def composer(field: "ConfigField", value: str, kinds: "dict[str, RewardKind]", t: Texts) -> list[Any]:
    """The cards, a button for one more, and the text behind them for who likes to write it."""
    told = [_told(kind, t) for kind in kinds.values()]
    id_ = f"field-{field.name}"
    text = html.Details(
        [
            html.Summary([icon("chevron-right"), t("rewards.as_text")]),
            dbc.Textarea(id=id_, value=value, class_name="mono rewards-text", rows=4),
        ],
        className="rewards-fold",
    )
    add = html.Button(
        [icon("plus-circle"), t("rewards.add")], id="reward-add", className="btn btn-quiet", type="button"
    )
    return [
        html.Div(id="reward-cards", **attributes(data_kinds=json.dumps(told, ensure_ascii=False), data_field=id_)),
        add,
        text,
    ]


def problem_lines(problems: "list[Problem]", t: Texts) -> list[Any]:
    """Problems below the cards; the script takes those of a card to its option."""
    return [
        html.Div(
            t.problem(problem),
            **attributes(
                data_number=str(problem.values.get("number", "")),
                data_option=str(problem.values.get("option", "kind")),
                data_inner=t.inner(problem),
            ),
        )
        for problem in problems
    ]


def target_of(problem: "Problem") -> str:
    """The input that a problem is about."""
    number = problem.values.get("number")
    return f"reward-{number}-{problem.values.get('option', 'kind')}" if number else f"field-{problem.field}"


def _told(kind: "RewardKind", t: Texts) -> dict[str, Any]:
    options = [
        {
            "name": field.name,
            "label": t.option(field.name),
            "help": t.option_help(kind.kind, field),
            "kind": field.kind,
            "default": _plain(field.default),
            "required": field.required,
            "choices": list(field.choices),
        }
        for field in sorted(kind.fields, key=lambda field: field.name == "name")
    ]
    return {"kind": kind.kind, "title": t.reward(kind), "help": t.reward_help(kind), "options": options}


def _short(reward: dict[str, Any]) -> dict[str, Any]:
    """Without an empty name, and 1 for 1.0."""
    return {key: _plain(value) for key, value in reward.items() if not (key == "name" and not value)}


def _plain(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value
