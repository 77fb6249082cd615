"""The part of the form where values to begin with are chosen, of the types that have some."""

from typing import TYPE_CHECKING, Any

import dash_bootstrap_components as dbc
from dash import html

from dash_app import forms
from dash_app.texts import Texts

if TYPE_CHECKING:
    from minimind_platform import TrainingType


def values_of(kind: "TrainingType") -> dict[str, dict[str, Any]]:
    """What inputs hold with each of a type's values to begin with."""
    fields = {field.name: field for field in kind.fields}
    return {
        start.name: {name: forms.form_value(fields[name], value) for name, value in start.values.items()}
        for start in kind.starts.values()
    }


def chosen(kind: "TrainingType", values: dict[str, Any]) -> str:
    """The name of the values to begin with that a form holds, or ""."""
    found = (name for name, held in values_of(kind).items() if held.items() <= values.items())
    return next(found, "")


def switched_values(types: forms.Types, before: str, after: str, values: dict[str, Any]) -> dict[str, Any]:
    """The values after a change of type. What the old type's values to begin with have filled in nobody has typed: the
    new type's of the same name take their place."""
    start = chosen(types[before], values)
    old, new = forms.default_values(types, before), forms.default_values(types, after)
    filled = values_of(types[before]).get(start, {})
    kept = forms.switched_values(types, before, after, values | {name: old[name] for name in filled})
    meant = values_of(types[after]).get(start, {})
    return kept | {name: value for name, value in meant.items() if kept[name] == new[name]}


def help_of(kind: "TrainingType", start: str, t: Texts) -> str:
    """What the chosen values are for."""
    return t.start(kind.starts[start])[1] if start else t("new.start_help")


def options(kind: "TrainingType", t: Texts) -> list[Any]:
    """Those of a type, and own ones."""
    named = [{"label": t.start(start)[0], "value": start.name} for start in kind.starts.values()]
    return [*named, {"label": t("new.start_own"), "value": ""}]


def entry(kind: "TrainingType", values: dict[str, Any], t: Texts) -> html.Div:
    """The list to choose from; hidden where a type has none."""
    start = chosen(kind, values)
    parts = [
        dbc.Label(t("new.start"), html_for="start"),
        dbc.Select(id="start", options=options(kind, t), value=start),
        html.Div(help_of(kind, start, t), id="start-help", className="field-help"),
    ]
    return html.Div(
        html.Div(parts, className="field field-wide"), id="starts", className="fields", hidden=not kind.starts
    )
