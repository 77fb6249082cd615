"""The form of a training, made from the settings' own definitions. No input is written by hand, so a new setting is in
the form by itself.

A form holds the fields of all training types at once and shows those of the chosen one; so what a person has typed
stays when the type changes.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import dash_bootstrap_components as dbc
from dash import html

from dash_app.components import card, icon
from dash_app.formats import setting
from dash_app.reward_form import text_of
from dash_app.texts import Texts

if TYPE_CHECKING:
    from minimind_platform import ConfigField, TrainingType

GROUPS = ("data", "model", "rollout", "rewards", "training", "runtime", "care", "output")
WIDE_KINDS = frozenset({"dataset", "weight", "rewards"})
INPUT_MODES: dict[str, Any] = {"int": "numeric", "float": "decimal"}
INTO_CONFIG_ONLY = frozenset({"save_dir"})
"""The platform decides where a task's files go, so nobody is asked."""

Types = Mapping[str, "TrainingType"]


def union_fields(types: Types) -> dict[str, "ConfigField"]:
    """Every setting of every type once, in the order of a form."""
    found: dict[str, ConfigField] = {}
    for group in GROUPS:
        for kind in types.values():
            for field in kind.fields:
                if field.group == group and field.name not in INTO_CONFIG_ONLY:
                    found.setdefault(field.name, field)
    return found


def type_fields(types: Types, type_name: str) -> dict[str, "ConfigField"]:
    """The settings of one type that the form shows."""
    return {field.name: field for field in types[type_name].fields if field.name not in INTO_CONFIG_ONLY}


def varying_fields(types: Types) -> set[str]:
    """The settings that do not mean the same in all types that have them."""
    first = union_fields(types)
    told = {name: (field.help, field.range_text) for name, field in first.items()}
    return {
        field.name
        for kind in types.values()
        for field in type_fields(types, kind.name).values()
        if told[field.name] != (field.help, field.range_text)
    }


def form_value(field: "ConfigField", value: Any) -> Any:
    """A setting as its input holds it."""
    if field.kind == "bool":
        return bool(value)
    return text_of(value) if field.kind == "rewards" else setting(value)


def default_values(types: Types, type_name: str) -> dict[str, Any]:
    """What an untouched form holds."""
    return {name: form_value(field, field.default) for name, field in type_fields(types, type_name).items()}


def switched_values(types: Types, before: str, after: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values after a change of type: what was left at the old default gets the new one, the rest stays."""
    old, new = default_values(types, before), default_values(types, after)
    kept = {name: value for name, value in values.items() if name in new and name in old and value != old[name]}
    return new | kept


def groups(
    types: Types, chosen: str, values: Mapping[str, Any], devices: list[str], extras: Mapping[str, Any], t: Texts
) -> list[Any]:
    """The form's cards.

    Args:
        chosen: the training type whose fields are shown.
        values: what the inputs hold.
        devices: choices of the device field.
        extras: more content by field or group name, such as the list of data sets under its input.
    """
    shown = type_fields(types, chosen)
    fields = union_fields(types) | shown
    kind = types[chosen]

    def entry(field: "ConfigField") -> html.Div:
        name = field.name
        return _entry(field, name in shown, values.get(name), devices, extras.get(name), kind, t)

    cards = []
    for group in GROUPS:
        inside = [field for field in fields.values() if field.group == group]
        plain = [entry(field) for field in inside if not field.advanced]
        folded = [entry(field) for field in inside if field.advanced]
        body: list[Any] = [extras[f"group-{group}"]] if f"group-{group}" in extras else []
        if plain:
            body.append(html.Div(plain, className="fields"))
        if folded:
            changed = any(
                f.advanced and values.get(f.name) != form_value(f, shown[f.name].default)
                for f in inside
                if f.name in shown
            )
            body.append(_fold(group, folded, advanced_counts(types, chosen)[group], changed, t))
        none = group not in shown_groups(types, chosen)
        cards.append(card(t(f"group.{group}"), body, hint=t(f"group.{group}.hint"), id=f"group-{group}", hidden=none))
    return cards


def shown_groups(types: Types, chosen: str) -> set[str]:
    """The cards that a type has settings in."""
    return {field.group for field in type_fields(types, chosen).values()}


def advanced_counts(types: Types, chosen: str) -> dict[str, int]:
    """How many settings of a type each card folds away."""
    folded = [field.group for field in type_fields(types, chosen).values() if field.advanced]
    return {group: folded.count(group) for group in GROUPS}


def _fold(group: str, entries: list[Any], count: int, is_open: bool, t: Texts) -> html.Details:
    shown = html.Span(t("group.advanced_count", count=count), className="quiet", id=f"count-{group}")
    summary = html.Summary([icon("chevron-right"), t("group.advanced"), shown])
    return html.Details([summary, html.Div(entries, className="fields")], open=is_open, id=f"advanced-{group}")


def label_of(field: "ConfigField", kind: "TrainingType", t: Texts) -> list[Any]:
    """What stands above an input: a name for people and the real one."""
    required = html.Span(t("new.required"), className="required") if field.required else None
    return [t.label(field.name, kind), required, html.Code(field.name)]


def help_of(field: "ConfigField", kind: "TrainingType", t: Texts) -> list[Any]:
    """What stands below an input: what the setting does in a type, and the allowed values."""
    allowed = limits(field)
    shown = [html.Span(t("new.allowed", range=allowed), className="range")] if allowed else []
    return [t.help(field, kind), *shown]


def _entry(
    field: "ConfigField", shown: bool, value: Any, devices: list[str], extra: Any, kind: "TrainingType", t: Texts
) -> html.Div:
    """One setting: label, its real name, input, help and the place of its error."""
    name = field.name
    return html.Div(
        [
            dbc.Label(label_of(field, kind, t), html_for=f"field-{name}", id=f"label-{name}"),
            *(extra if field.kind == "rewards" else [_input(field, value, devices)]),
            html.Div(id=f"error-{name}", className="field-error"),
            html.Div(help_of(field, kind, t), id=f"help-{name}", className="field-help"),
            None if field.kind == "rewards" else extra,
        ],
        id=f"entry-{name}",
        className=f"field field-{field.kind}" + (" field-wide" if field.kind in WIDE_KINDS else ""),
        hidden=not shown,
    )


def limits(field: "ConfigField") -> str:
    """The allowed numbers: `8 – 32,768`, or as the field itself writes them."""
    if field.kind not in ("int", "float"):
        return ""
    if field.minimum is None or field.maximum is None or field.exclusive_minimum or field.exclusive_maximum:
        return field.range_text
    return f"{field.minimum:,g} – {field.maximum:,.10g}"


def _input(field: "ConfigField", value: Any, devices: list[str]) -> Any:
    id_ = f"field-{field.name}"
    if field.kind == "bool":
        return dbc.Switch(id=id_, value=bool(value))
    if field.kind in ("choice", "device"):
        choices = list(field.choices or devices)
        if value and value not in choices:
            choices.append(value)  # a cloned task may name a device that this machine does not have
        return dbc.Select(id=id_, options=[{"label": c, "value": c} for c in choices], value=value)
    return dbc.Input(
        id=id_,
        type="text",
        value=value or "",
        inputmode=INPUT_MODES.get(field.kind, "text"),
        autocomplete="off",
        class_name="mono" if field.kind in WIDE_KINDS else "",
    )
