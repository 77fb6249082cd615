"""One view of a config class for the command line, the form, the documentation and sweeps."""

import types
from dataclasses import dataclass
from typing import Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from trainer.configs import Search, Setting, TrainConfig
from trainer.reward_specs import REWARD_KINDS, Reward, rewards_in_words


@dataclass(frozen=True)
class ConfigField:
    """A setting as a person meets it."""

    name: str
    kind: Literal["int", "float", "bool", "choice", "text", "dataset", "weight", "device", "rewards"]
    default: Any
    """None where the field is required; plain values, so that it is JSON."""
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
        if self.kind == "rewards":
            return f'JSON such as [{{"kind": "answer", "weight": 1}}], kinds: {", ".join(REWARD_KINDS)}'
        low = "" if self.minimum is None else f"{'>' if self.exclusive_minimum else '≥'} {self.minimum:g}"
        high = "" if self.maximum is None else f"{'<' if self.exclusive_maximum else '≤'} {self.maximum:g}"
        return ", ".join(part for part in (low, high) if part)


def config_fields(cls: type[TrainConfig]) -> list[ConfigField]:
    """The fields of a config class, in the order of a form: those of a group together, as declared."""
    order = ("data", "model", "rollout", "rewards", "training", "runtime", "care", "output")
    fields = [_field(cls, name, info) for name, info in cls.model_fields.items()]
    return sorted(fields, key=lambda f: order.index(f.group))


@dataclass(frozen=True)
class RewardKind:
    """A kind of reward as a person meets it."""

    kind: str
    title: str
    help: str
    needs_gt: bool
    """Whether the data must tell the right answers."""
    fields: list[ConfigField]
    """Its weight and name, which all kinds have, and its own options."""


def reward_kinds() -> dict[str, RewardKind]:
    """The kinds of rewards by name."""
    return {kind: _reward_kind(kind, cls) for kind, cls in REWARD_KINDS.items()}


def told(field: ConfigField, value: Any) -> Any:
    """A value as a line of text can hold it: rewards in short, others as they are."""
    return rewards_in_words(value) if field.kind == "rewards" else value


def params_of(config: TrainConfig) -> dict[str, str]:
    """All settings as the texts that MLflow keeps and compares."""
    values = config.model_dump()
    return {field.name: str(told(field, values[field.name])) for field in config_fields(type(config))}


def _reward_kind(kind: str, cls: type[Reward]) -> RewardKind:
    fields = [described(name, info, Setting("rewards")) for name, info in cls.model_fields.items() if name != "kind"]
    return RewardKind(kind, cls.title, " ".join((cls.__doc__ or "").split()), cls.needs_gt, fields)


def _field(cls: type[TrainConfig], name: str, info: FieldInfo) -> ConfigField:
    setting = next(m for m in info.metadata if isinstance(m, Setting))
    return described(name, info, setting, tuple(alias for alias, meant in cls.aliases.items() if meant == name))


def described(name: str, info: FieldInfo, setting: Setting, aliases: tuple[str, ...] = ()) -> ConfigField:
    """A field of a pydantic model as a person meets it, its docstring as the help."""
    limits = {key: getattr(m, key) for m in info.metadata for key in ("ge", "gt", "le", "lt") if hasattr(m, key)}
    choices = get_args(info.annotation) if get_origin(info.annotation) is Literal else ()
    default = None if info.is_required() else info.default
    if setting.kind == "rewards":
        default = [reward.model_dump() for reward in info.default]
    return ConfigField(
        name=name,
        kind=setting.kind or _kind(info.annotation, bool(choices)),
        default=default,
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
        aliases=aliases,
    )


def _kind(annotation: Any, has_choices: bool) -> Literal["int", "float", "bool", "choice", "text"]:
    if has_choices:
        return "choice"
    if get_origin(annotation) in (Union, types.UnionType):
        raise TypeError(f"a config field has one type, not {annotation}")
    return {bool: "bool", int: "int", float: "float"}.get(annotation, "text")  # type: ignore[return-value]
