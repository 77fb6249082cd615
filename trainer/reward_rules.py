"""The rewards that are rules: each takes a sample and gives its score (contract section 5).

    score = rule_of(LengthReward(min_chars=10))(sample)

A rule raises ValueError, with the cause as a phrase, for a sample that it cannot judge.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import regex

from trainer.answers import same_number, same_text
from trainer.reward_specs import (
    AnswerReward,
    LengthReward,
    RegexReward,
    RepetitionReward,
    Reward,
    TagsReward,
    ThinkReward,
)

END = "</think>"
TAGS = ("<think>", END, "<answer>", "</answer>")
SECONDS = 1.0
"""A pattern may work on one text."""
_LAYOUT = re.compile(r"^<think>\n.*?\n</think>\n{1,2}<answer>\n.*?\n</answer>$", re.DOTALL)
_WORD = re.compile(r"\w+|[^\w\s]")


@dataclass(frozen=True)
class Sample:
    """One answer of the model, as rewards see it."""

    messages: list[dict[str, Any]]
    """The conversation before the answer."""
    completion: str
    """The answer, without its end token. It begins inside of a thought if `thinking`."""
    gt: tuple[str, ...] = ()
    """The right answers, as far as the data tells them."""
    thinking: bool = False
    """Whether the prompt opened a thought."""
    ended: bool = True
    """Whether the model ended the answer, rather than the limit of its length."""
    tokens: int = 0
    """Its length."""


Rule = Callable[[Sample], float]


def rule_of(spec: Reward) -> Rule | None:
    """The rule of a reward; None for the kinds that are none."""
    match spec:
        case AnswerReward():
            same = same_number if spec.mode == "numeric" else same_text
            return lambda sample: float(same(answered(sample), sample.gt))
        case LengthReward():
            return lambda sample: 1.0 if spec.min_chars <= len(sample.completion.strip()) <= spec.max_chars else -1.0
        case ThinkReward():
            return lambda sample: _think(sample.completion, spec.min_chars, spec.max_chars)
        case TagsReward():
            return lambda sample: _tags(("<think>\n" if sample.thinking else "") + sample.completion)
        case RepetitionReward():
            return lambda sample: -repeated(split_thought(sample.completion)[1])
        case RegexReward():
            pattern = regex.compile(spec.pattern)
            return lambda sample: _matches(pattern, sample.completion)
    return None


def split_thought(text: str) -> tuple[str | None, str]:
    """Thought and answer, up to and after the first </think>. Without one there is no thought, and all is answer."""
    thought, end, answer = text.partition(END)
    if not end:
        return None, text.strip()
    return thought.strip().removeprefix("<think>").strip(), answer.strip()


def answered(sample: Sample) -> str:
    """The text that can hold an answer: nothing of it while a thought that the prompt opened goes on."""
    return "" if sample.thinking and END not in sample.completion else sample.completion


def repeated(text: str, most: float = 0.5) -> float:
    """Share of the groups of three words that came before, at most `most` (MiniMind v3's rep_penalty)."""
    words = _WORD.findall(text.lower())
    groups = list(zip(words, words[1:], words[2:], strict=False))
    return min(most, (len(groups) - len(set(groups))) / len(groups)) if groups else 0.0


def _think(text: str, low: int, high: int) -> float:
    thought, _ = split_thought(text)
    if thought is None:
        return 0.0
    return (1.0 if low <= len(thought) <= high else -0.5) + (0.25 if text.count(END) == 1 else -0.25)


def _tags(text: str) -> float:
    return (0.5 if _LAYOUT.match(text) else 0.0) + 0.25 * sum(text.count(tag) == 1 for tag in TAGS)


def _matches(pattern: Any, text: str) -> float:
    try:
        return float(pattern.search(text, timeout=SECONDS) is not None)
    except TimeoutError:
        raise ValueError(f"the pattern {pattern.pattern!r} needed more than {SECONDS:g} s for it") from None
