"""Scores are those of MiniMind, and a reward that fails has a name."""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from trainer.errors import RewardError
from trainer.names import Env
from trainer.reward_rules import repeated, rule_of
from trainer.reward_specs import DEFAULT_REWARDS, REWARD_KINDS, parse_rewards
from trainer.rewards import Rewards, Sample
from trainer.tokenization import load_tokenizer

CPU = torch.device("cpu")
ASKED = [{"role": "user", "content": "48 + 24?"}]


def sample(completion: str, gt: str = "72", thinking: bool = False) -> Sample:
    return Sample(ASKED, completion, (gt,) if gt else (), thinking)


def score(kind: str, text: str, thinking: bool = False, **options: Any) -> float:
    rule = rule_of(REWARD_KINDS[kind](**options))
    assert rule
    return rule(sample(text, thinking=thinking))


def rewards(value: Any, home: Path = Path(), **options: Any) -> Rewards:
    return Rewards(parse_rewards(value), home, CPU, "float32", **options)


def test_repetition_counts_as_in_minimind(minimind: Path) -> None:
    expected = json.loads((minimind / "losses-v3/expected.json").read_text())["rep_penalty"]
    assert len(expected) == 4
    for text, penalty in expected.items():
        assert repeated(text) == penalty
        assert score("repetition", f"<think>{'x y z ' * 9}</think>{text}") == -penalty


def test_rewards_of_minimind_are_those_of_its_grpo(minimind: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reward model's scores and the rules of v3; here all four texts are too short."""
    expected = json.loads((minimind / "losses-v3/expected.json").read_text())["grpo_v3_grpo"]["rewards"]
    allow(monkeypatch, judge=lambda samples: [1.0, -0.5, 2.5, -3.0])
    rules = '{"kind": "length"}, {"kind": "think"}, {"kind": "repetition"}'
    table = rewards(f'[{{"kind": "function", "function": "reward_functions:judge"}}, {rules}]')(
        [sample(text) for text in ("a", "b c", "", "d")]
    )
    assert table.total.tolist() == expected == [0.5, -1.0, 2.0, -3.5]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("x" * 20, 1), ("  " + "x" * 19 + "\n", -1), ("x" * 800, 1), ("x" * 801, -1), ("长" * 20, 1)],
)
def test_length(text: str, expected: float) -> None:
    assert score("length", text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("no thought", 0),
        ("t" * 20 + "\n</think>\n\na", 1.25),
        ("<think>\n" + "t" * 19 + "\n</think>\n\na", -0.25),
        ("t" * 301 + "</think>a", -0.25),
        ("t" * 20 + "</think>a</think>", 0.75),
        ("</think></think>", -0.75),
    ],
)
def test_thoughts_by_the_rule_of_v3(text: str, expected: float) -> None:
    assert score("think", text) == expected


def test_tags_by_the_rule_of_v2() -> None:
    assert score("tags", "<think>\na\n</think>\n<answer>\nb\n</answer>") == 1.5
    assert score("tags", "a\n</think>\n\n<answer>\nb\n</answer>", thinking=True) == 1.5
    assert score("tags", "<think>\na\n</think>\n\n\n<answer>\nb\n</answer>") == 1.0
    assert score("tags", "<think>a</think><answer>b<answer>") == 0.5
    assert score("tags", "plain") == 0


def test_an_unfinished_thought_holds_no_answer() -> None:
    assert score("answer", "is it 72", thinking=True) == 0
    assert score("answer", "is it 71</think>It is 72", thinking=True) == 1


def test_patterns_are_found_anywhere_and_given_up_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (score("regex", "So: yes", pattern="yes$"), score("regex", "yes, so", pattern="yes$")) == (1, 0)
    monkeypatch.setattr("trainer.reward_rules.SECONDS", 0.01)
    with pytest.raises(ValueError, match="needed more than"):
        score("regex", "a" * 5000 + "b", pattern=r"(?:(?:a|a)+)+$")


def test_the_total_is_the_weighted_sum() -> None:
    table = rewards([{"kind": "answer", "weight": 2}, {"kind": "length"}, {"kind": "tags", "weight": 0}])(
        [sample("It is 72, as 48 + 24 = 72"), sample("<think>72"), sample("No")]
    )
    assert table.scores["answer"].tolist() == [1, 1, 0]
    assert table.scores["length"].tolist() == [1, -1, -1]
    assert table.scores["tags"].tolist() == [0, 0.25, 0]
    assert table.total.tolist() == [2.5, 1.5, -0.5]
    assert table.problems == []


def test_data_without_a_number_is_told_or_left_out() -> None:
    samples = [sample("72"), sample("72", gt="many")]
    with pytest.raises(RewardError, match=r"Reward 'answer' failed for sample 2 of 2: gt \['many'\] holds no number"):
        Rewards(DEFAULT_REWARDS, Path(), CPU, "float32")(samples)
    table = Rewards(DEFAULT_REWARDS, Path(), CPU, "float32", policy="skip")(samples)
    assert table.total[0] == 1 and np.isnan(table.total[1]) and len(table.problems) == 1
    assert table.scores["repetition"].tolist() == [0, 0]


def allow(monkeypatch: pytest.MonkeyPatch, **functions: Callable[[list[Sample]], Any]) -> None:
    """A module of a user's, with these functions in it."""
    module = type(sys)("reward_functions")
    for name, function in functions.items():
        setattr(module, name, function)
    monkeypatch.setitem(sys.modules, "reward_functions", module)
    monkeypatch.setenv(Env.REWARD_MODULES, "reward_functions")


@pytest.mark.parametrize(
    ("function", "cause", "failed"),
    [
        (lambda samples: [1.0], "returned 1 numbers for 2 samples", 2),
        (lambda samples: [1.0, float("nan")], "returned nan", 1),
        (lambda samples: [None, 1], "returned None", 1),
        (lambda samples: [float("inf"), 1], "returned inf", 1),
        (lambda samples: 1 / 0, "raised ZeroDivisionError: division by zero", 2),
        (lambda samples: None, "raised TypeError: 'NoneType' object is not iterable", 2),
    ],
)
def test_functions_that_fail_are_named(
    function: Callable[[list[Sample]], Any], cause: str, failed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    allow(monkeypatch, judge=function)
    value = [{"kind": "function", "function": "reward_functions:judge", "name": "mine"}]
    with pytest.raises(RewardError, match=f"Reward 'mine' failed for sample [12] of 2: reward_functions:judge {cause}"):
        rewards(value)([sample("a"), sample("b")])
    table = rewards(value, policy="skip")([sample("a"), sample("b")])
    assert np.isnan(table.total).sum() == failed == len(table.problems)


def test_the_function_in_the_guide_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    guide = Path(__file__).parents[2] / "docs" / "rewards.md"
    (code,) = re.findall(r"```python\n(.*?)```", guide.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "my_rewards.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv(Env.REWARD_MODULES, "my_rewards")
    judge = rewards('[{"kind": "function", "function": "my_rewards:brevity"}]')
    long, cut = Sample(ASKED, "72", tokens=500), Sample(ASKED, "7", ended=False, tokens=2)
    assert judge([long, cut]).total.tolist() == [0.5, -0.002]


def test_functions_may_return_what_numpy_compares(monkeypatch: pytest.MonkeyPatch) -> None:
    allow(monkeypatch, judge=lambda samples: np.array([s.tokens for s in samples]) > 3)
    judge = rewards('[{"kind": "function", "function": "reward_functions:judge"}]')
    assert judge([Sample(ASKED, "a", tokens=5), Sample(ASKED, "b", tokens=2)]).total.tolist() == [1, 0]


def test_functions_that_are_not_there_are_named_before_training(monkeypatch: pytest.MonkeyPatch) -> None:
    allow(monkeypatch)
    with pytest.raises(RewardError, match=r"Reward 'function': reward_functions:judge cannot be loaded: Attribute"):
        rewards('[{"kind": "function", "function": "reward_functions:judge"}]')
    monkeypatch.setenv(Env.REWARD_MODULES, "not_there_at_all")
    with pytest.raises(RewardError, match="not_there_at_all:f cannot be loaded: ModuleNotFoundError"):
        rewards('[{"kind": "function", "function": "not_there_at_all:f"}]')


def test_a_reward_model_judges_answers_without_their_thoughts(tmp_path: Path, make_judge: Callable[..., None]) -> None:
    from transformers import AutoModelForSequenceClassification

    make_judge(tmp_path / "judge", scale=20)
    judge = rewards('[{"kind": "model", "path": "judge"}]', tmp_path)
    texts = ["72", "It is 72, I believe.", "<think>\nso\n</think>\n\n72", "no"]
    scores = judge([sample(text) for text in texts]).scores["model"]

    tokenizer, model = load_tokenizer(None), AutoModelForSequenceClassification.from_pretrained(tmp_path / "judge")
    for text, found in zip(["72", texts[1], "72", "no"], scores, strict=True):
        shown = tokenizer.apply_chat_template([*ASKED, {"role": "assistant", "content": text}], tokenize=False)
        with torch.no_grad():
            alone = model(**tokenizer(shown, return_tensors="pt", return_token_type_ids=False)).logits.item()
        assert found == pytest.approx(np.clip(alone, -3, 3), abs=1e-5)
    assert len(set(np.round(scores, 4))) == 3


def test_scores_of_a_reward_model_are_clipped(tmp_path: Path, make_judge: Callable[..., None]) -> None:
    make_judge(tmp_path, scale=1e4)
    scores = rewards([{"kind": "model", "path": str(tmp_path)}])([sample(t) for t in ("72", "no", "x y")]).total
    assert set(np.abs(scores)) == {3.0}


def test_what_is_too_long_for_a_reward_model_is_left_out_by_name(
    tmp_path: Path, make_judge: Callable[..., None]
) -> None:
    make_judge(tmp_path)
    table = rewards([{"kind": "model", "path": str(tmp_path)}], policy="skip")([sample("72"), sample("72 " * 99)])
    assert np.isnan(table.total).tolist() == [False, True]
    assert "more than the 64 that the reward model reads" in table.problems[0]


def test_a_conversation_that_a_reward_model_cannot_read_is_named_alone(
    tmp_path: Path, make_judge: Callable[..., None]
) -> None:
    make_judge(tmp_path)
    refusing = "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    (tmp_path / "chat_template.jinja").write_text(refusing + "{{ messages[-1].content }}")
    with_system = Sample([{"role": "system", "content": "S"}, *ASKED], "72")
    spec = [{"kind": "model", "path": str(tmp_path)}]
    judge = rewards(spec, policy="skip")
    table = judge([sample("72"), with_system, sample("")])
    assert np.isnan(table.total).tolist() == [False, True, True]
    assert table.problems[0].endswith(
        "sample 2 of 3: the reward model's chat template refuses it (System role not supported)."
    )
    assert table.problems[1].endswith("sample 3 of 3: the reward model's chat template makes no text of it.")
    assert table.total[0] == judge([sample("72")]).total[0]
    with pytest.raises(RewardError, match=r"sample 1 of 1: .*System role not supported"):
        rewards(spec)([with_system])


def test_a_process_without_answers_has_nothing_to_judge(tmp_path: Path, make_judge: Callable[..., None]) -> None:
    make_judge(tmp_path)
    table = rewards([{"kind": "model", "path": str(tmp_path)}])([])
    assert (table.total.shape, table.scores["model"].shape, table.problems) == ((0,), (0,), [])


def test_other_models_are_no_reward_models(tmp_path: Path, make_judge: Callable[..., None]) -> None:
    from transformers import Qwen3Config, Qwen3ForCausalLM

    make_judge(tmp_path / "two", labels=2)
    sizes: dict[str, Any] = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "head_dim": 8}
    config = Qwen3Config(vocab_size=64, num_attention_heads=2, num_key_value_heads=1, num_labels=1, **sizes)
    Qwen3ForCausalLM(config).save_pretrained(tmp_path / "causal")
    for name, reason in {"two": "has 2 outputs", "causal": "holds Qwen3ForCausalLM", "none": "no config.json"}.items():
        with pytest.raises(RewardError, match=reason):
            rewards([{"kind": "model", "path": name}], tmp_path)
