"""The curves of a task's page: loss and learning rate, and what each training type has beside them."""

import json
from dataclasses import dataclass
from typing import Any

from dash_app.texts import Texts
from minimind_platform import Metric, Task, reward_metric

CURVES: dict[str, str] = {
    "loss": Metric.LOSS,
    "loss_min": Metric.LOSS_MIN,
    "loss_max": Metric.LOSS_MAX,
    "eval_loss": Metric.EVAL_LOSS,
    "learning_rate": Metric.LEARNING_RATE,
}
"""Names and metrics of the curves that every task has."""


@dataclass(frozen=True)
class Line:
    """A curve in one of the further charts."""

    name: str
    """As the page's script calls it."""
    metric: str
    label: str
    """Key of its text."""
    colour: int
    """Curves of training and evaluation that belong together share one."""
    held_out: bool = False
    of: str = ""
    """The reward that a text is about."""


@dataclass(frozen=True)
class Chart:
    """A chart beside those of loss and learning rate."""

    key: str
    lines: tuple[Line, ...]
    first: bool = False
    """Whether it tells more than the loss, and stands before it."""

    def spec(self, t: Texts) -> str:
        """What the script needs of it, as JSON."""
        lines: list[dict[str, Any]] = [
            {
                "name": line.name,
                "label": t(line.label, of=t.reward_name(line.of)) if line.of else t(line.label),
                "colour": line.colour,
                "held_out": line.held_out,
            }
            for line in self.lines
        ]
        return json.dumps(lines, ensure_ascii=False)


def _both(name: str, train: str, held_out: str, label: str, colour: int) -> tuple[Line, Line]:
    return (
        Line(name, train, f"curve.{label}", colour),
        Line(f"eval_{name}", held_out, f"curve.eval_{label}", colour, held_out=True),
    )


CHARTS: dict[str, tuple[Chart, ...]] = {
    "reason": (Chart("parts", (Line("ce_loss", Metric.CE_LOSS, "curve.ce_loss", 0),)),),
    "distill": (
        Chart(
            "parts",
            (
                Line("ce_loss", Metric.CE_LOSS, "curve.ce_loss", 0),
                Line("kl_loss", Metric.KL_LOSS, "curve.kl_loss", 1),
            ),
        ),
    ),
    "dpo": (
        Chart("accuracy", _both("accuracy", Metric.DPO_ACCURACY, Metric.EVAL_ACCURACY, "all", 0)),
        Chart(
            "rewards",
            (
                *_both("chosen_reward", Metric.DPO_CHOSEN_REWARD, Metric.EVAL_CHOSEN_REWARD, "chosen", 0),
                *_both("rejected_reward", Metric.DPO_REJECTED_REWARD, Metric.EVAL_REJECTED_REWARD, "rejected", 1),
            ),
        ),
        Chart(
            "logp",
            (
                *_both("chosen_logp", Metric.DPO_CHOSEN_LOGP, Metric.EVAL_CHOSEN_LOGP, "chosen", 0),
                *_both("rejected_logp", Metric.DPO_REJECTED_LOGP, Metric.EVAL_REJECTED_LOGP, "rejected", 1),
            ),
        ),
    ),
}
"""Further charts by training type; those of trainings by rewards depend on the settings too."""


def charts(task: Task) -> list[Chart]:
    """The further charts of a task, those first that stand before the loss."""
    if task.type in BY_REWARDS:
        return _of_rewards(task)
    return list(CHARTS.get(task.type, ()))


def curves(task: Task) -> dict[str, str]:
    """The names and metrics of all curves of a task."""
    return CURVES | {line.name: line.metric for chart in charts(task) for line in chart.lines}


def _of_rewards(task: Task) -> list[Chart]:
    """What happens to the rewards, to the answers, to the model, and where the time goes."""
    rewards = [reward.get("name") or reward["kind"] for reward in task.config.get("rewards") or ()]
    usual = (Line("baseline", Metric.BASELINE, "curve.baseline", 1),) if task.type == "spo" else ()
    found = [
        Chart(
            "reward",
            (
                *_both("reward", Metric.REWARD, Metric.EVAL_REWARD, "all", 0),
                Line("reward_std", Metric.REWARD_STD, "curve.reward_std", 2),
                *usual,
            ),
            first=True,
        ),
        Chart("length", (Line("length", Metric.ANSWER_LENGTH, "curve.length", 0),), first=True),
    ]
    if len(rewards) > 1:
        lines = [line for index, name in enumerate(rewards) for line in _one_reward(index, name)]
        found.append(Chart("each_reward", tuple(lines)))
    moved = [Line("kl", Metric.KL, "curve.kl", 0)] if task.config.get("beta") or task.config.get("kl_coef") else []
    shares = [Line("truncated", Metric.TRUNCATED, "curve.truncated", 0)]
    if task.config.get("reward_errors") == "skip":
        shares.append(Line("unrewarded", Metric.UNREWARDED, "curve.unrewarded", 2))
    if task.type == "ppo":
        moved.append(Line("approx_kl", Metric.APPROX_KL, "curve.approx_kl", 1))
    if task.type != "spo":
        shares.append(Line("clip_fraction", Metric.CLIP_FRACTION, "curve.clip_fraction", 1))
    found += [Chart("distance", tuple(moved))] if moved else []
    found.append(Chart("shares", tuple(shares)))
    return found + (_CRITIC if task.type == "ppo" else []) + _ROLLOUT


def _one_reward(index: int, name: str) -> tuple[Line, Line]:
    """A reward's curves; a script calls it by its number, as its name may hold anything."""
    held_out = reward_metric(name, held_out=True)
    return (
        Line(f"reward_{index}", reward_metric(name), "curve.of_reward", index, of=name),
        Line(f"eval_reward_{index}", held_out, "curve.eval_of_reward", index, held_out=True, of=name),
    )


BY_REWARDS = frozenset({"grpo", "spo", "ppo"})
_CRITIC = [
    Chart(
        "critic",
        (
            Line("policy_loss", Metric.POLICY_LOSS, "curve.policy_loss", 0),
            Line("value_loss", Metric.VALUE_LOSS, "curve.value_loss", 1),
        ),
    ),
    Chart("updates", (Line("updates", Metric.UPDATES, "curve.updates", 0),)),
]
_ROLLOUT = [
    Chart(
        "phases",
        (
            Line("rollout_share", Metric.ROLLOUT_SHARE, "curve.rollout_share", 0),
            Line("scoring_share", Metric.SCORING_SHARE, "curve.scoring_share", 1),
            Line("learning_share", Metric.LEARNING_SHARE, "curve.learning_share", 2),
        ),
    ),
    Chart("gap", (Line("logp_gap", Metric.LOGP_GAP, "curve.logp_gap", 0),)),
]
