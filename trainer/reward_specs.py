"""What a training by rewards is rewarded for: a list of rewards, each with its kind, its weight and its own options.

    specs = parse_rewards('[{"kind": "answer"}, {"kind": "length", "weight": 0.5}]')
    rewards_in_words(specs)        # answer ×1, length ×0.5

The scores themselves are made by `trainer.rewards`; nothing here needs torch.
"""

import json
import math
import os
import re
from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

import regex
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from trainer.answers import has_number
from trainer.errors import FieldError, FieldListError, Problem
from trainer.names import Env, Metric

FIELD = "rewards"
MOST_REWARDS = 16
NAME_PATTERN = r"^([A-Za-z0-9][A-Za-z0-9._-]{0,63})?$"
GT_HINT = 'Write them as "gt": ["72"], or change the reward answer or take it out.'
TAKEN_NAMES = frozenset(
    {"total", "mean", "std", "min", "max"} | {m.removeprefix("eval/") for m in Metric if m.startswith("eval/")}
)
"""Curves beside those of the single rewards, in training and on held-out prompts."""
MOST_UNROLLED = 30_000
"""Characters of a pattern times its repeat counts. `regex` writes counted repeats out when it compiles, in some 400
bytes for each character; from some millions on the process may die of it."""
_SPACE = r"(?:\s|#[^\n]*\n)*"  # and comments, which (?x) allows inside of a count
_COUNT = re.compile(rf"(?=\{{{_SPACE}((?:[0-9]{_SPACE})+))")
Weight = Annotated[float, Field(ge=-1000, le=1000)]
Chars = Annotated[int, Field(ge=0, le=1_000_000)]


class Reward(BaseModel):
    """What every kind of reward has."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False)
    title: ClassVar[str]
    needs_gt: ClassVar[bool] = False
    """Whether the data must tell the right answers."""

    kind: str
    weight: Weight = 1.0
    """Multiplies the score; negative for a penalty, 0 to only record it."""
    name: Annotated[str, Field(pattern=NAME_PATTERN)] = ""
    """Of its curve, reward/{name}. Empty: the kind. Needed where a kind is there twice."""

    @property
    def key(self) -> str:
        """The name, unique in its list."""
        return self.name or self.kind


class _Chars(Reward):
    """A reward for a number of characters."""

    min_chars: Chars
    max_chars: Chars

    @model_validator(mode="after")
    def _check_chars(self) -> "_Chars":
        if self.min_chars > self.max_chars:
            text = f"min_chars {self.min_chars} is more than max_chars {self.max_chars}."
            raise FieldError("min_chars", "min_above_max", text, low=self.min_chars, high=self.max_chars)
        return self


class AnswerReward(Reward):
    """1 if the answer is one of the right ones that the data lists in gt, else 0."""

    title = "Right answer"
    needs_gt = True
    kind: Literal["answer"] = "answer"
    mode: Literal["numeric", "exact"] = "numeric"
    """numeric: the last number in <answer>…</answer>, else in \\boxed{…}, else of the text after the thought is
    compared as a number. exact: the whole answer is compared as text, whatever its case and width."""


class LengthReward(_Chars):
    """1 if the text has a sensible length, else -1."""

    title = "Length"
    kind: Literal["length"] = "length"
    weight: Weight = 0.5
    """Multiplies the score; negative for a penalty, 0 to only record it."""
    min_chars: Chars = 20
    """Fewest characters, white space around the text not counted."""
    max_chars: Chars = 800
    """Most characters."""


class ThinkReward(_Chars):
    """For texts with </think>: 1 if the thought has a sensible length, else -0.5, and 0.25 if there is one </think>
    only, else -0.25. Other texts get 0. This is the rule of MiniMind v3."""

    title = "Thought"
    kind: Literal["think"] = "think"
    min_chars: Chars = 20
    """Fewest characters of the thought."""
    max_chars: Chars = 300
    """Most characters of the thought."""


class TagsReward(Reward):
    """0.5 if the text is <think>…</think><answer>…</answer> with their line breaks, and 0.25 for each of the four tags
    that occurs once. This is the rule of MiniMind v2."""

    title = "Tags"
    kind: Literal["tags"] = "tags"


class RepetitionReward(Reward):
    """Minus the share of groups of three words that came before, at most 0.5, in the answer after the thought."""

    title = "Repetition"
    kind: Literal["repetition"] = "repetition"


class RegexReward(Reward):
    """1 if a pattern is found anywhere in the text, else 0."""

    title = "Pattern"
    kind: Literal["regex"] = "regex"
    pattern: Annotated[str, Field(min_length=1, max_length=2000)]
    """Regular expression in Python's notation, such as ^yes\\b."""

    @model_validator(mode="after")
    def _check_pattern(self) -> "RegexReward":
        size = unrolled(self.pattern)
        if size > MOST_UNROLLED:
            text = f"Its repeat counts, multiplied with its length, make {size:,}, and at most {MOST_UNROLLED:,} are "
            text += "allowed. Use smaller counts, or {0,n} in place of {n}."
            raise FieldError("pattern", "pattern_too_large", text, size=size, most=MOST_UNROLLED)
        try:
            regex.compile(self.pattern)
        except RecursionError:
            text = "The pattern has too many groups inside of each other. Use fewer."
            raise FieldError("pattern", "pattern_too_deep", text) from None
        except (regex.error, ValueError) as error:
            text = f"{self.pattern!r} is no regular expression: {error}."
            raise FieldError("pattern", "bad_pattern", text, value=self.pattern, reason=str(error)) from None
        return self


class ModelReward(Reward):
    """The opinion of a reward model on conversation and answer, between -3 and 3."""

    title = "Reward model"
    kind: Literal["model"] = "model"
    path: Annotated[str, Field(min_length=1, max_length=4096)]
    """Folder of a sequence classification model with one output, in Hugging Face format, with its tokenizer."""


class FunctionReward(Reward):
    """What a Python function of yours returns for each text."""

    title = "Python function"
    kind: Literal["function"] = "function"
    function: Annotated[str, Field(min_length=1, max_length=200)]
    """module:function, called with a list of trainer.rewards.Sample; returns a number for each. The environment
    variable MINIMIND_REWARD_MODULES must list the module."""

    @property
    def module(self) -> str:
        """The module that the function is in."""
        return self.function.partition(":")[0]

    @model_validator(mode="after")
    def _check_module(self) -> "FunctionReward":
        if not re.fullmatch(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*", self.function):
            text = f"Write it as module:function, such as my_rewards:brevity, got {self.function!r}."
            raise FieldError("function", "bad_function", text, value=self.function)
        allowed = [name.strip() for name in os.environ.get(Env.REWARD_MODULES, "").split(",") if name.strip()]
        if self.module not in allowed:
            now = f"it lists {', '.join(allowed)}" if allowed else "it is not set"
            text = (
                f"The module {self.module!r} may not be called: an administrator allows modules, with commas between, "
                f"in the environment variable {Env.REWARD_MODULES} ({now})."
            )
            values = {"module": self.module, "variable": str(Env.REWARD_MODULES), "allowed": ", ".join(allowed) or "–"}
            raise FieldError("function", "module_not_allowed", text, **values)
        return self


def unrolled(pattern: str) -> int:
    """The most characters that a pattern has when its repeats are written out: its length times each least count, n of
    {n}, {n,} and {n,m}. Repeats beside each other count as if they were inside of each other, and so do braces that are
    no repeats: then no spelling can hide one."""
    counts = [int("".join(re.findall(r"[0-9]", re.sub(r"#[^\n]*\n", "", found)))) for found in _COUNT.findall(pattern)]
    return len(pattern) * math.prod(max(count, 1) for count in counts)


RewardSpec = Annotated[
    AnswerReward
    | LengthReward
    | ThinkReward
    | TagsReward
    | RepetitionReward
    | RegexReward
    | ModelReward
    | FunctionReward,
    Field(discriminator="kind"),
]
REWARD_KINDS: dict[str, type[Reward]] = {
    cls.model_fields["kind"].default: cls
    for cls in (
        AnswerReward,
        LengthReward,
        ThinkReward,
        TagsReward,
        RepetitionReward,
        RegexReward,
        ModelReward,
        FunctionReward,
    )
}
DEFAULT_REWARDS: tuple[RewardSpec, ...] = (AnswerReward(), RepetitionReward())
"""Right answers, and no babbling. Length is not in it: the best answer to a sum is short."""
_LIST: TypeAdapter[list[Any]] = TypeAdapter(list[RewardSpec])


def parse_rewards(value: Any) -> tuple[RewardSpec, ...]:
    """Rewards from JSON text, a list of objects, or rewards.

    Raises:
        FieldListError: with every problem, all of them of the field `rewards`; `values` tell the reward's number
            from 1, its kind and the option.
    """
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError as error:
            text = f'Rewards are a JSON list such as [{{"kind": "answer"}}], and this is no JSON: {error}.'
            raise FieldListError([Problem(FIELD, "rewards_json", text, {"reason": str(error)})]) from None
    if not isinstance(value, list | tuple) or not all(isinstance(item, dict | Reward) for item in value):
        text = f'Rewards are a JSON list such as [{{"kind": "answer"}}], got {str(value)[:80]!r}.'
        raise FieldListError([Problem(FIELD, "rewards_list", text, {"value": str(value)[:80]})])
    if not 1 <= len(value) <= MOST_REWARDS:
        text = f"There must be 1 to {MOST_REWARDS} rewards, and there are {len(value)}."
        raise FieldListError([Problem(FIELD, "rewards_count", text, {"most": MOST_REWARDS, "count": len(value)})])
    try:
        specs = tuple(_LIST.validate_python(list(value)))
    except ValidationError as error:
        raise FieldListError([_problem(item, value) for item in error.errors()]) from None
    problems = _name_problems(specs)
    if problems:
        raise FieldListError(problems)
    return specs


RewardList = Annotated[tuple[RewardSpec, ...], BeforeValidator(parse_rewards)]
"""A setting that holds rewards, given as JSON text or as a list."""


def needs_gt(specs: Sequence[Reward]) -> bool:
    """Whether the data must tell the right answers in `gt`."""
    return any(spec.needs_gt for spec in specs)


def gt_fault(specs: Sequence[Reward], gt: Sequence[str]) -> str:
    """Why right answers are of no use to some of these rewards; "" if they are, or if none needs them."""
    for spec in specs:
        if spec.needs_gt and not gt:
            return f"it has no right answers in gt, which the reward {spec.key} compares with"
        if isinstance(spec, AnswerReward) and spec.mode == "numeric" and not has_number(gt):
            return f"gt {list(gt)!r} holds no number, which the reward {spec.key} compares in mode numeric"
    return ""


def rewards_in_words(rewards: Sequence[Reward | dict[str, Any]]) -> str:
    """The list in short: `answer ×1, length ×0.5 (max_chars 400)`. Options are told where they are not the default.

    Args:
        rewards: as they are, or as a config file holds them; those are not checked again.
    """
    return ", ".join(_in_words(r.model_dump() if isinstance(r, Reward) else r) for r in rewards)


def _in_words(values: dict[str, Any]) -> str:
    kind = str(values.get("kind", ""))
    fields = REWARD_KINDS[kind].model_fields if kind in REWARD_KINDS else {}
    own = [
        f"{name} {value}"
        for name, value in values.items()
        if name not in ("kind", "weight", "name") and not (name in fields and fields[name].default == value)
    ]
    key = values.get("name") or kind
    own = [kind, *own] if key != kind else own
    weight = values.get("weight", fields["weight"].default if fields else 1)
    return f"{key} ×{float(weight):g}" + (f" ({', '.join(own)})" if own else "")


def _name_problems(specs: Sequence[Reward]) -> list[Problem]:
    problems, counts = [], Counter(spec.key for spec in specs)
    seen: set[str] = set()
    for number, spec in enumerate(specs, 1):
        if spec.key in TAKEN_NAMES:
            text = f"The name {spec.key!r} is taken. Give it another one."
            problem = Problem("name", "reward_name_taken", text, {"value": spec.key})
            problems.append(in_reward(number - 1, spec.kind, problem))
        elif counts[spec.key] > 1 and spec.key in seen:
            text = f"Another reward has the name {spec.key!r} too. Give one of them a name."
            problem = Problem("name", "reward_name_twice", text, {"value": spec.key})
            problems.append(in_reward(number - 1, spec.kind, problem))
        seen.add(spec.key)
    return problems


def _problem(item: Any, given: Sequence[Any]) -> Problem:
    """What pydantic says about one reward of the list."""
    index = item["loc"][0]
    kind = _kind_of(given[index])
    if item["type"] in ("union_tag_invalid", "union_tag_not_found"):
        text = f"Reward {index + 1}: there is no kind {kind!r}. Choose one of {', '.join(REWARD_KINDS)}."
        return Problem(
            FIELD, "reward_kind", text, {"number": index + 1, "kind": kind, "kinds": ", ".join(REWARD_KINDS)}
        )
    cause = item.get("ctx", {}).get("error")
    if isinstance(cause, FieldError):
        return in_reward(index, kind, cause.problem)
    option, code, given_value = str(item["loc"][-1]), item["type"], _shortened(item["input"])
    values = {**item.get("ctx", {}), "value": given_value} if code != "missing" else {}
    message = f"{item['msg']}, got {given_value!r}."
    if code in ("missing", "string_too_short"):
        message = "Required, but empty."
    elif code == "string_pattern_mismatch":
        code, message = "bad_reward_name", f"Use letters, digits, '.', '_' and '-', at most 64, got {given_value!r}."
    elif code == "extra_forbidden":
        values["options"] = ", ".join(REWARD_KINDS[kind].model_fields)
        code, message = "no_such_option", f"There is no such option. It has {values['options']}."
    return in_reward(index, kind, Problem(option, code, message, values))


def _shortened(value: Any) -> Any:
    return f"{value[:80]}…" if isinstance(value, str) and len(value) > 80 else value


def in_reward(index: int, kind: str, problem: Problem) -> Problem:
    """What is wrong with an option of a reward, as a problem of the field."""
    text = f"Reward {index + 1} ({kind}), {problem.field}: {problem.message}"
    place = {"number": index + 1, "kind": kind, "option": problem.field}
    return Problem(
        FIELD, "reward_option", text, problem.values | place | {"cause": problem.code, "message": problem.message}
    )


def _kind_of(given: Any) -> str:
    return given.kind if isinstance(given, Reward) else str(given.get("kind", ""))
