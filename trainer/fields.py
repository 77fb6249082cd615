"""One view of a config class for the command line, the form, the documentation and sweeps."""

import types
from dataclasses import dataclass
from typing import Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from trainer.configs import Search, Setting, TrainConfig


@dataclass(frozen=True)
class ConfigField:
    """A setting as a person meets it."""

    name: str
    kind: Literal["int", "float", "bool", "choice", "text", "dataset", "weight", "device"]
    default: Any
    """None where the field is required."""
    required: bool
    help: str
    group: str
    advanced: bool
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    """Smallest value; itself allowed unless `exclusive_minimum`."""
    maximum: float | None = None
    exclusive_minimum: bool = False
    exclusive_maximum: bool = False
    search: Search | None = None
    aliases: tuple[str, ...] = ()
    """MiniMind's names of this setting, where they differ."""

    @property
    def range_text(self) -> str:
        """The allowed values in short, such as `1 – 128` or `> 0, < 1`; "" if anything goes."""
        if self.choices:
            return ", ".join(self.choices)
        low = "" if self.minimum is None else f"{'>' if self.exclusive_minimum else '≥'} {self.minimum:g}"
        high = "" if self.maximum is None else f"{'<' if self.exclusive_maximum else '≤'} {self.maximum:g}"
        return ", ".join(part for part in (low, high) if part)


def config_fields(cls: type[TrainConfig]) -> list[ConfigField]:
    """The fields of a config class, in the order of a form: those of a group together, as declared."""
    order = ("data", "model", "training", "runtime", "output")
    fields = [_field(cls, name, info) for name, info in cls.model_fields.items()]
    return sorted(fields, key=lambda f: order.index(f.group))


def _field(cls: type[TrainConfig], name: str, info: FieldInfo) -> ConfigField:
    setting = next(m for m in info.metadata if isinstance(m, Setting))
    limits = {key: getattr(m, key) for m in info.metadata for key in ("ge", "gt", "le", "lt") if hasattr(m, key)}
    choices = get_args(info.annotation) if get_origin(info.annotation) is Literal else ()
    return ConfigField(
        name=name,
        kind=setting.kind or _kind(info.annotation, bool(choices)),
        default=None if info.is_required() else info.default,
        required=info.is_required(),
        help=" ".join((info.description or "").split()),
        group=setting.group,
        advanced=setting.advanced,
        choices=choices,
        minimum=limits.get("ge", limits.get("gt")),
        maximum=limits.get("le", limits.get("lt")),
        exclusive_minimum="gt" in limits,
        exclusive_maximum="lt" in limits,
        search=next((m for m in info.metadata if isinstance(m, Search)), None),
        aliases=tuple(alias for alias, meant in cls.aliases.items() if meant == name),
    )


def _kind(annotation: Any, has_choices: bool) -> Literal["int", "float", "bool", "choice", "text"]:
    if has_choices:
        return "choice"
    if get_origin(annotation) in (Union, types.UnionType):
        raise TypeError(f"a config field has one type, not {annotation}")
    return {bool: "bool", int: "int", float: "float"}.get(annotation, "text")  # type: ignore[return-value]
