"""The curves of a task's page: loss and learning rate, and what each training type has beside them."""

import json
from dataclasses import dataclass
from typing import Any

from dash_app.texts import Texts
from minimind_platform import Metric

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


@dataclass(frozen=True)
class Chart:
    """A chart beside those of loss and learning rate."""

    key: str
    lines: tuple[Line, ...]

    def spec(self, t: Texts) -> str:
        """What the script needs of it, as JSON."""
        lines: list[dict[str, Any]] = [
            {"name": line.name, "label": t(line.label), "colour": line.colour, "held_out": line.held_out}
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
"""Further charts by training type."""


def curves(type_name: str) -> dict[str, str]:
    """The names and metrics of all curves of a task of a type."""
    return CURVES | {line.name: line.metric for chart in CHARTS.get(type_name, ()) for line in chart.lines}
