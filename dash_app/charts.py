"""The charts of a task's page, in groups: what every training records, and what each training type has beside it."""

from dataclasses import dataclass
from typing import Any

from dash_app.texts import Texts
from minimind_platform import Metric, Task, reward_metric


@dataclass(frozen=True)
class Line:
    """A curve in a chart."""

    metric: str
    label: str
    """Key of its text."""
    colour: int = 0
    """Curves of training and evaluation that belong together share one."""
    held_out: bool = False
    of: str = ""
    """The reward that a text is about."""
    low: str = ""
    """Metric of the lower edge of its band; without one, what the points of a bucket reach."""
    high: str = ""

    def spec(self, t: Texts) -> dict[str, Any]:
        """What the script needs of it; the run is the only one of the page."""
        label = t(self.label, of=t.reward_name(self.of)) if self.of else t(self.label)
        told = {"run": "", "metric": self.metric, "label": label, "colour": self.colour, "held_out": self.held_out}
        return told | ({"low": self.low, "high": self.high} if self.low else {})


@dataclass(frozen=True)
class Chart:
    """Curves on one pair of axes."""

    key: str
    lines: tuple[Line, ...]
    wide: bool = False
    always: bool = False
    """Whether it has its place before the run has any of its metrics."""
    optional: bool = False
    """Whether most runs do without it, so that it appears only when the run has its metrics."""
    from_zero: bool = False
    large: bool = False
    """Whether its values are large numbers, written with k and M."""

    def spec(self, t: Texts) -> dict[str, Any]:
        """What the script needs of it."""
        flags = {name: getattr(self, name) for name in ("wide", "always", "optional", "from_zero", "large")}
        title = t(f"task.chart_{self.key}")
        return {"key": self.key, "title": title, "lines": [line.spec(t) for line in self.lines]} | flags


@dataclass(frozen=True)
class Group:
    """Charts under a heading."""

    key: str
    charts: tuple[Chart, ...]

    def spec(self, t: Texts) -> dict[str, Any]:
        """What the script needs of it."""
        return {"key": self.key, "title": t(f"charts.{self.key}"), "charts": [chart.spec(t) for chart in self.charts]}


def _both(train: str, held_out: str, label: str, colour: int) -> tuple[Line, Line]:
    return (
        Line(train, f"curve.{label}", colour),
        Line(held_out, f"curve.eval_{label}", colour, held_out=True),
    )


def _one(key: str, metric: str, label: str = "", **more: Any) -> Chart:
    """A chart of one curve, which has the chart's name unless it has its own."""
    return Chart(key, (Line(metric, f"curve.{label}" if label else f"task.chart_{key}"),), **more)


_LOSS = Chart(
    "loss",
    (
        Line(Metric.LOSS, "js.loss_train", low=Metric.LOSS_MIN, high=Metric.LOSS_MAX),
        Line(Metric.EVAL_LOSS, "js.loss_eval", 1, held_out=True),
    ),
    wide=True,
    always=True,
)
_AUX = _one("aux", Metric.AUX_LOSS, optional=True)
_OPTIMISATION = (
    _one("learning_rate", Metric.LEARNING_RATE, always=True, from_zero=True),
    _one("grad_norm", Metric.GRAD_NORM, always=True),
)
_SPEED = (
    _one("tokens_per_second", Metric.TOKENS_PER_SECOND, always=True, from_zero=True, large=True),
    _one("mfu", Metric.MFU, optional=True, from_zero=True),
    _one("step_seconds", Metric.STEP_SECONDS, always=True),
)
_MACHINE = (
    _one("gpu", Metric.GPU_PERCENT, optional=True, from_zero=True),
    _one("gpu_memory", Metric.GPU_MEMORY_MB, optional=True, from_zero=True, large=True),
    _one("memory", Metric.MEMORY_MB, always=True, from_zero=True, large=True),
    _one("cpu", Metric.CPU_PERCENT, always=True, from_zero=True),
)

PARTS: dict[str, tuple[Chart, ...]] = {
    "reason": (_one("parts", Metric.CE_LOSS, "ce_loss"),),
    "distill": (Chart("parts", (Line(Metric.CE_LOSS, "curve.ce_loss"), Line(Metric.KL_LOSS, "curve.kl_loss", 1))),),
    "dpo": (
        Chart("accuracy", _both(Metric.DPO_ACCURACY, Metric.EVAL_ACCURACY, "all", 0)),
        Chart(
            "logp",
            (
                *_both(Metric.DPO_CHOSEN_LOGP, Metric.EVAL_CHOSEN_LOGP, "chosen", 0),
                *_both(Metric.DPO_REJECTED_LOGP, Metric.EVAL_REJECTED_LOGP, "rejected", 1),
            ),
        ),
    ),
}
"""Charts beside the loss, by training type."""
_OF_PAIRS = Chart(
    "rewards",
    (
        *_both(Metric.DPO_CHOSEN_REWARD, Metric.EVAL_CHOSEN_REWARD, "chosen", 0),
        *_both(Metric.DPO_REJECTED_REWARD, Metric.EVAL_REJECTED_REWARD, "rejected", 1),
    ),
)
BY_REWARDS = frozenset({"grpo", "spo", "ppo"})
_CRITIC = (
    Chart("critic", (Line(Metric.POLICY_LOSS, "curve.policy_loss"), Line(Metric.VALUE_LOSS, "curve.value_loss", 1))),
    _one("updates", Metric.UPDATES, "updates"),
)
_PHASES = Chart(
    "phases",
    (
        Line(Metric.ROLLOUT_SHARE, "curve.rollout_share"),
        Line(Metric.SCORING_SHARE, "curve.scoring_share", 1),
        Line(Metric.LEARNING_SHARE, "curve.learning_share", 2),
    ),
)


def groups(task: Task) -> list[Group]:
    """The charts of a task. Where a model learns from rewards, these tell more than the loss and come first."""
    by_rewards = task.type in BY_REWARDS
    loss = Group("loss", (_LOSS, *PARTS.get(task.type, ()), *(_CRITIC if task.type == "ppo" else ()), _AUX))
    rewards = [Group("rewards", _of_rewards(task))] if by_rewards else []
    pairs = [Group("rewards", (_OF_PAIRS,))] if task.type == "dpo" else []
    speed = Group("speed", (*_SPEED, *((_PHASES,) if by_rewards else ())))
    return [*rewards, loss, *pairs, Group("optimisation", _OPTIMISATION), speed, Group("machine", _MACHINE)]


def _of_rewards(task: Task) -> tuple[Chart, ...]:
    """What happens to the rewards, to the answers and to the model."""
    rewards = [reward.get("name") or reward["kind"] for reward in task.config.get("rewards") or ()]
    usual = (Line(Metric.BASELINE, "curve.baseline", 1),) if task.type == "spo" else ()
    of_all = (
        *_both(Metric.REWARD, Metric.EVAL_REWARD, "all", 0),
        Line(Metric.REWARD_STD, "curve.reward_std", 2),
        *usual,
    )
    found = [Chart("reward", of_all, wide=True, always=True), _one("length", Metric.ANSWER_LENGTH, "length")]
    if len(rewards) > 1:
        found.append(Chart("each_reward", tuple(line for at, name in enumerate(rewards) for line in _of(at, name))))
    moved = [Line(Metric.KL, "curve.kl")] if task.config.get("beta") or task.config.get("kl_coef") else []
    shares = [Line(Metric.TRUNCATED, "curve.truncated")]
    if task.config.get("reward_errors") == "skip":
        shares.append(Line(Metric.UNREWARDED, "curve.unrewarded", 2))
    if task.type == "ppo":
        moved.append(Line(Metric.APPROX_KL, "curve.approx_kl", 1))
    if task.type != "spo":
        shares.append(Line(Metric.CLIP_FRACTION, "curve.clip_fraction", 1))
    found += [Chart("distance", tuple(moved))] if moved else []
    return (*found, Chart("shares", tuple(shares)), _one("gap", Metric.LOGP_GAP, "logp_gap"))


def _of(number: int, name: str) -> tuple[Line, Line]:
    """The curves of one reward, whose name may hold anything."""
    return (
        Line(reward_metric(name), "curve.of_reward", number, of=name),
        Line(reward_metric(name, held_out=True), "curve.eval_of_reward", number, held_out=True, of=name),
    )
