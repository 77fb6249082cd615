"""A list of rewards is checked all at once, each problem with the number of its reward."""

import json

import pytest

from trainer.errors import FieldListError
from trainer.names import Env
from trainer.reward_specs import (
    DEFAULT_REWARDS,
    REWARD_KINDS,
    AnswerReward,
    LengthReward,
    gt_fault,
    needs_gt,
    parse_rewards,
    rewards_in_words,
    unrolled,
)


def problems(value: object) -> list[tuple[object, object, object]]:
    """Number, option and cause of each problem."""
    with pytest.raises(FieldListError) as caught:
        parse_rewards(value if isinstance(value, str) else json.dumps(value))
    assert {p.field for p in caught.value.problems} == {"rewards"}
    return [
        (p.values.get("number"), p.values.get("option"), p.values.get("cause", p.code)) for p in caught.value.problems
    ]


def test_json_text_becomes_rewards_with_their_defaults() -> None:
    specs = parse_rewards('[{"kind": "answer"}, {"kind": "length", "max_chars": 400}]')
    assert specs == (AnswerReward(), LengthReward(max_chars=400))
    assert (specs[0].weight, specs[1].weight, specs[1].min_chars) == (1.0, 0.5, 20)


def test_what_a_config_file_holds_gives_the_same_rewards() -> None:
    specs = parse_rewards([{"kind": "think"}, {"kind": "regex", "pattern": "^a", "weight": -2, "name": "no_a"}])
    assert parse_rewards([spec.model_dump() for spec in specs]) == specs == parse_rewards(specs)


def test_all_problems_come_at_once_with_their_place() -> None:
    found = problems(
        [
            {"kind": "length", "min_chars": -1, "colour": "red"},
            {"kind": "taste"},
            {"kind": "think", "min_chars": 9, "max_chars": 3},
            {"kind": "regex", "pattern": "(a"},
            {"kind": "model"},
            {"kind": "answer", "weight": "much", "mode": "fuzzy", "name": "../x"},
            {},
        ]
    )
    assert found == [
        (1, "min_chars", "greater_than_equal"),
        (1, "colour", "no_such_option"),
        (2, None, "reward_kind"),
        (3, "min_chars", "min_above_max"),
        (4, "pattern", "bad_pattern"),
        (5, "path", "missing"),
        (6, "weight", "float_parsing"),
        (6, "name", "bad_reward_name"),
        (6, "mode", "literal_error"),
        (7, None, "reward_kind"),
    ]


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("[{", "rewards_json"),
        ("", "rewards_json"),
        ("{}", "rewards_list"),
        ("3", "rewards_list"),
        ('["answer"]', "rewards_list"),
        ("[]", "rewards_count"),
        (json.dumps([{"kind": "tags", "name": f"t{i}"} for i in range(17)]), "rewards_count"),
        ('[{"kind": "length"}, {"kind": "tags"}, {"kind": "length"}]', "reward_name_twice"),
        ('[{"kind": "length", "name": "total"}]', "reward_name_taken"),
        ('[{"kind": "length", "name": "reward"}]', "reward_name_taken"),
        ('[{"kind": "tags", "name": "rejected_logp"}]', "reward_name_taken"),
        ('[{"kind": "length", "weight": NaN}]', "finite_number"),
        ('[{"kind": "function", "function": "os.system"}]', "bad_function"),
        ('[{"kind": "function", "function": "os:system(1)"}]', "bad_function"),
        ('[{"kind": "function", "function": ""}]', "string_too_short"),
    ],
)
def test_lists_that_cannot_work_are_refused(value: str, code: str) -> None:
    assert [cause for _, _, cause in problems(value)] == [code]


@pytest.mark.parametrize(
    ("pattern", "code"),
    [
        ("(?:(?:a{100}){100}){100}", "pattern_too_large"),
        ("(?:(?:a{100,}){100,200}){100}", "pattern_too_large"),
        ("(?x)(?:(?:a{1 0 0}){1#c\n00}){ 100}", "pattern_too_large"),
        ("(?:{1#(?:(?:a{100}){100}){100}\n)", "pattern_too_large"),
        ("(?:ab|c){50000}", "pattern_too_large"),
        ("(" * 900 + "a" + ")" * 900, "pattern_too_deep"),
        ("a" * 2001, "string_too_long"),
        ("(?au)a", "bad_pattern"),
    ],
)
def test_patterns_that_would_exhaust_the_memory_are_refused(pattern: str, code: str) -> None:
    assert problems([{"kind": "regex", "pattern": pattern}]) == [(1, "pattern", code)]


def test_patterns_of_common_sizes_are_taken() -> None:
    for pattern in (
        r"^.{20,800}$",
        r"<think>.{20,300}</think>.{20,400}",
        r"\d{4}-\d{2}-\d{2}",
        r"a\{1000}",
        ".{0,5000}.{0,5000}",
    ):
        parse_rewards([{"kind": "regex", "pattern": pattern}])
    assert (unrolled("ab"), unrolled("a{3}"), unrolled("(a{3}){5,9}"), unrolled("a{0}b{,9}")) == (2, 12, 165, 9)


def test_messages_say_what_to_do() -> None:
    with pytest.raises(FieldListError) as caught:
        parse_rewards('[{"kind": "tags"}, {"kind": "length", "min_chars": -1}, {"kind": "smell"}]')
    first, second = (p.message for p in caught.value.problems)
    assert first == "Reward 2 (length), min_chars: Input should be greater than or equal to 0, got -1."
    assert second.startswith("Reward 3: there is no kind 'smell'. Choose one of answer, length, think")


def test_functions_come_only_from_modules_that_an_administrator_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    value = [{"kind": "function", "function": "my_rewards:brevity"}]
    monkeypatch.delenv(Env.REWARD_MODULES, raising=False)
    assert problems(value) == [(1, "function", "module_not_allowed")]
    monkeypatch.setenv(Env.REWARD_MODULES, "other, my_rewards.inner")
    with pytest.raises(FieldListError, match=r"'my_rewards' may not.*MINIMIND_REWARD_MODULES \(it lists other, my"):
        parse_rewards(value)
    monkeypatch.setenv(Env.REWARD_MODULES, "other, my_rewards")
    assert rewards_in_words(parse_rewards(value)) == "function ×1 (function my_rewards:brevity)"


def test_rewards_in_short() -> None:
    assert rewards_in_words(DEFAULT_REWARDS) == "answer ×1, repetition ×1"
    specs = parse_rewards([{"kind": "length", "max_chars": 400}, {"kind": "length", "name": "short", "weight": -0.25}])
    assert rewards_in_words(specs) == "length ×0.5 (max_chars 400), short ×-0.25 (length)"
    assert rewards_in_words([spec.model_dump() for spec in specs]) == rewards_in_words(specs)
    assert rewards_in_words([{"kind": "of_a_later_version", "weight": 2.0, "x": 1}]) == "of_a_later_version ×2 (x 1)"


def test_only_right_answers_need_gt() -> None:
    assert needs_gt(DEFAULT_REWARDS)
    assert not needs_gt(parse_rewards('[{"kind": "length"}, {"kind": "think"}]'))


def test_right_answers_that_are_of_no_use_are_told() -> None:
    exact = parse_rewards('[{"kind": "answer", "mode": "exact"}]')
    assert gt_fault(DEFAULT_REWARDS, ["72", "many"]) == gt_fault(exact, ["many"]) == ""
    assert gt_fault(DEFAULT_REWARDS, ["many"]).startswith("gt ['many'] holds no number")
    assert gt_fault(exact, []) == "it has no right answers in gt, which the reward answer compares with"
    assert gt_fault(parse_rewards('[{"kind": "tags"}]'), []) == ""


@pytest.mark.parametrize("kind", REWARD_KINDS)
def test_every_kind_explains_itself(kind: str) -> None:
    cls = REWARD_KINDS[kind]
    assert cls.title and (cls.__doc__ or "").endswith(".")
    assert all((info.description or "").endswith(".") for name, info in cls.model_fields.items() if name != "kind")
