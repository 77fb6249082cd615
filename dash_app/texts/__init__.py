"""Every word that people read, in each language: one module for the pages, one for settings and their problems.

t = pick_texts(cookie, accept_language)
t("tasks.title"); t("tasks.total", count=3); t.label("data_path"); t.problem(problem)
"""

import re
from functools import cache
from typing import TYPE_CHECKING, Any

from dash_app.texts import en, en_fields, en_form, en_rewards, en_sweeps, zh, zh_fields, zh_form, zh_rewards, zh_sweeps

if TYPE_CHECKING:
    from minimind_platform import ConfigField, Problem, RewardKind, Start, TrainingType

LANGUAGES = {"en": (en, en_fields), "zh": (zh, zh_fields)}
REWARDS = {"en": en_rewards, "zh": zh_rewards}
SWEEPS = {"en": en_sweeps, "zh": zh_sweeps}
FORMS = {"en": en_form, "zh": zh_form}
DEFAULT_LANGUAGE = "en"


class Texts:
    """One language."""

    def __init__(self, language: str) -> None:
        pages, fields = LANGUAGES[language]
        rewards = REWARDS[language]
        self.language = language
        self.html_lang: str = pages.HTML_LANG
        self.pages: dict[str, str] = pages.TEXTS
        self.sentences: dict[str, str] = pages.SENTENCES
        self.hub_texts: dict[str, str] = pages.HUB
        self.labels: dict[str, str] = fields.LABELS
        self.helps: dict[str, str] = fields.HELP
        self.problems: dict[str, str] = fields.PROBLEMS | SWEEPS[language].PROBLEMS | FORMS[language].PROBLEMS
        self.starts: dict[str, tuple[str, str]] = fields.STARTS
        self.rewards: dict[str, tuple[str, str]] = rewards.KINDS
        self.options: dict[str, str] = rewards.OPTIONS
        self.option_helps: dict[str, str] = rewards.OPTION_HELP
        self.sweep_options: dict[str, str] = SWEEPS[language].OPTIONS
        self.sweep_option_helps: dict[str, str] = SWEEPS[language].OPTION_HELP

    def __call__(self, key: str, **values: Any) -> str:
        text = self.pages[key]
        return text.format(**values) if values else text

    def label(self, name: str, kind: "TrainingType | None" = None) -> str:
        """A setting's short name for people, as a training type means it."""
        return _own(self.labels, name, kind) or name

    def help(self, field: "ConfigField", kind: "TrainingType | None" = None) -> str:
        """What a setting does, as a training type means it. English is written beside the setting itself."""
        return _own(self.helps, field.name, kind) or field.help

    def start(self, start: "Start") -> tuple[str, str]:
        """What values to begin with are called, and what they are for. English is written beside the values."""
        return self.starts.get(start.name, (start.title, start.help))

    def problem(self, problem: "Problem") -> str:
        """What is wrong, in this language where it knows the code and its values, else the English sentence."""
        pattern = self.problems.get(problem.code)
        if pattern is None:
            return problem.message
        try:
            return pattern.format(**problem.values, inner=self.inner(problem))
        except (KeyError, IndexError):
            return problem.message

    def inner(self, problem: "Problem") -> str:
        """Of a problem within a part of a field, or of a combination: what is wrong there; "" for other problems."""
        code = problem.values.get("cause") or problem.values.get("problem", "")
        pattern = self.problems.get(code)
        return pattern.format(**problem.values) if pattern else problem.values.get("message", "")

    def reward(self, kind: "RewardKind") -> str:
        """A kind of reward in a word or two."""
        return self.rewards.get(kind.kind, (kind.title, ""))[0]

    def reward_name(self, name: str) -> str:
        """A reward of a task in a word or two: its own name, or what its kind is called."""
        return self.rewards.get(name, (name, ""))[0]

    def reward_help(self, kind: "RewardKind") -> str:
        """What a kind of reward scores. English is written beside the kind itself."""
        return self.rewards.get(kind.kind, ("", kind.help))[1]

    def option(self, name: str) -> str:
        """An option of a reward in a word or two."""
        return self.options.get(name, name)

    def option_help(self, kind: str, field: "ConfigField") -> str:
        """What an option of a reward means. English is written beside the option itself."""
        return self.option_helps.get(f"{kind}.{field.name}", self.option_helps.get(field.name, field.help))

    def sweep_option(self, field: "ConfigField") -> tuple[str, str]:
        """An option of a sweep in a word or two, and what it does. Its help in English is written beside the option."""
        return self.sweep_options.get(field.name, field.name), self.sweep_option_helps.get(field.name, field.help)

    def reason(self, sentence: str) -> str:
        """Why a task moved on, in this language where it knows the sentence."""
        for pattern, translation in self.sentences.items():
            if match := re.fullmatch(pattern, sentence):
                return match.expand(translation)
        return sentence

    def hub(self, name: str, about: str) -> str:
        """What something on the hub is. English is written in the catalogue."""
        return self.hub_texts.get(name, about)

    def title(self, type_name: str, title: str = "") -> str:
        """A training type's name."""
        return self.pages.get(f"type.{type_name}", title or type_name)


def _own(known: dict[str, str], name: str, kind: "TrainingType | None") -> str:
    """The text of a setting: of the type, else of all types that read the same data, else of all."""
    keys = (f"{kind.name}.{name}", f"{kind.data_format}.{name}", name) if kind else (name,)
    return next((known[key] for key in keys if key in known), "")


@cache
def texts(language: str) -> Texts:
    """The texts of a language."""
    return Texts(language)


def pick_texts(cookie: str | None, accept_language: str | None) -> Texts:
    """The language that a person chose, else the first one of the browser's that we speak."""
    if cookie in LANGUAGES:
        return texts(cookie)
    for part in (accept_language or "").lower().split(","):
        code = part.split(";")[0].strip().split("-")[0]
        if code in LANGUAGES:
            return texts(code)
    return texts(DEFAULT_LANGUAGE)
