"""Writes docs/configuration.md from the code: `make docs`. A test compares the file with what this makes."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import textwrap
from pathlib import Path

from minimind_platform.settings import Settings
from minimind_platform.sweeps.spec import option_fields
from trainer.configs import TRAINING_TYPES, TrainConfig
from trainer.fields import ConfigField, config_fields, reward_kinds, told
from trainer.presets import PRESETS
from trainer.starts import starts_of

TARGET = Path(__file__).with_name("configuration.md")
_GROUPS = {
    "data": "Data",
    "model": "Model",
    "rollout": "Answers",
    "rewards": "Rewards",
    "training": "Training",
    "runtime": "Runtime",
    "care": "Retries and watchdog",
    "output": "Output",
}
_INTRO = """\
# Configuration

Made from the code by `make docs`; do not edit by hand.

Every setting has one definition, in `trainer/configs.py` or, if all types share it, in `trainer/shared_config.py`. The
form in the browser, the options of `minimind submit` and `python -m trainer`, the checks and the params in MLflow all
come from it. MiniMind's own option names work, with `_` or with `-`.
"""


def configuration() -> str:
    """The text of docs/configuration.md."""
    parts = [_INTRO, _platform(), _presets(), _starts()]
    parts += [_training_type(cls) for cls in TRAINING_TYPES.values()]
    parts += [_rewards(), _sweeps()]
    return "\n".join(parts)


def _platform() -> str:
    lines = [
        "## The platform",
        "",
        "From the command line (`minimind up --port 8051`), then the environment (`MINIMIND_PORT=8051`), then",
        "`minimind.toml` in the home folder (`port = 8051`), then the default.",
        "",
        "| setting | default | meaning |",
        "|---|---|---|",
    ]
    helps = _field_helps(Settings)
    for field in dataclasses.fields(Settings):
        default = "current folder" if field.name == "home" else _shown(field.default)
        lines.append(f"| `{field.name}` | {default} | {helps[field.name]} |")
    return "\n".join([*lines, ""])


def _presets() -> str:
    lines = ["## Model presets", "", "`--preset NAME` sets these; settings given beside it win.", ""]
    lines += ["| preset | parameters | settings |", "|---|---|---|"]
    for preset in PRESETS.values():
        values = ", ".join(f"{name} {value}" for name, value in preset.values.items() if value not in (0, False))
        lines.append(f"| `{preset.name}` | {preset.parameters} | {values} |")
    return "\n".join([*lines, ""])


def _starts() -> str:
    lines = ["## Starting values", "", "`--start NAME` sets these, and the form offers them; settings given beside it"]
    lines += ["win.", "", "| type | start | for | settings |", "|---|---|---|---|"]
    for cls in TRAINING_TYPES.values():
        fields = {field.name: field for field in config_fields(cls)}
        for start in starts_of(cls.type).values():
            values = ", ".join(f"{name} {told(fields[name], value)}" for name, value in start.values.items())
            lines.append(f"| `{cls.type}` | `{start.name}` | {start.title}. {start.help} | {values} |")
    return "\n".join([*lines, ""])


def _training_type(cls: type[TrainConfig]) -> str:
    lines = [f"## {cls.title} (`{cls.type}`)", "", " ".join((cls.__doc__ or "").split()), ""]
    fields = config_fields(cls)
    for group, title in _GROUPS.items():
        rows = [_row(field) for field in fields if field.group == group]
        if rows:
            lines += [f"### {title}", "", "| setting | default | values | meaning |", "|---|---|---|---|", *rows, ""]
    return "\n".join(lines)


def _rewards() -> str:
    lines = [
        "## Rewards",
        "",
        "What `rewards` can hold, in a JSON list; [rewards.md](rewards.md) tells more.",
        "",
        "```",
    ]
    lines += ['--rewards \'[{"kind": "answer"}, {"kind": "length", "max_chars": 400, "weight": 0.5}]\'', "```", ""]
    lines += ["| kind | score |", "|---|---|"]
    kinds = reward_kinds()
    lines += [f"| `{kind.kind}` | {kind.help} |" for kind in kinds.values()]
    lines += ["", "| option | of | default | values | meaning |", "|---|---|---|---|---|"]
    for name in dict.fromkeys(field.name for kind in kinds.values() for field in kind.fields):
        having = {kind.kind: field for kind in kinds.values() for field in kind.fields if field.name == name}
        alike: dict[ConfigField, list[str]] = {}
        for kind, field in having.items():
            alike.setdefault(field, []).append(kind)
        for field, names in alike.items():
            of = "all" if len(names) == len(kinds) else ", ".join(names)
            default = "required" if field.required else _shown(field.default)
            values = field.range_text or field.kind
            lines.append(f"| `{name}` | {of} | {default} | {values} | {field.help} |")
    return "\n".join([*lines, ""])


def _sweeps() -> str:
    lines = ["## Sweeps", "", "How a sweep searches; [sweeps.md](sweeps.md) tells more.", ""]
    lines += ["| option | default | values | meaning |", "|---|---|---|---|"]
    return "\n".join([*lines, *map(_row, option_fields()), ""])


def _row(field: ConfigField) -> str:
    default = "required" if field.required else _shown(told(field, field.default))
    values = field.range_text or field.kind
    return f"| `{field.name}` | {default} | {values} | {field.help} |".replace("|{", "\\|{")


def _shown(value: object) -> str:
    return "empty" if value in ("", ()) else f"`{value}`"


def _field_helps(cls: type) -> dict[str, str]:
    """The text under each field of a class, which Python itself does not keep."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0]
    assert isinstance(tree, ast.ClassDef)
    helps: dict[str, str] = {}
    for before, after in zip(tree.body, tree.body[1:], strict=False):
        if isinstance(before, ast.AnnAssign) and isinstance(before.target, ast.Name) and isinstance(after, ast.Expr):
            helps[before.target.id] = " ".join(str(ast.literal_eval(after.value)).split())
    return helps


if __name__ == "__main__":
    TARGET.write_text(configuration(), encoding="utf-8")
    print(f"Wrote {TARGET}.")
