"""Charts of a sweep's trials over time, as Plotly figures without any look: `assets/87-sweep-charts.js` puts colours
for names such as `--accent-line`, so that a figure fits both themes, and leads from a point to its trial by
`customdata`.

figure = history(sweep, trials, t)
figure["data"], figure["layout"]          # or figure["empty"]: why there is nothing to draw yet
"""

import html
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dash_app.formats import setting
from dash_app.texts import Texts
from minimind_platform.sweeps.views import TrialState

if TYPE_CHECKING:
    from minimind_platform.sweeps.views import Sweep, Trial

Figure = dict[str, Any]
MOST_POINTS = 50
"""Of one trial's curve; a report comes at most at each percent."""
LOOKS: dict[str, tuple[str, dict[str, Any]]] = {
    "complete": ("--accent-line", {"size": 8}),
    "infeasible": ("--warn", {"size": 8, "symbol": "circle-open", "line": {"width": 1.5}}),
    "excluded": ("--quiet", {"size": 8, "symbol": "circle-x-open", "line": {"width": 1}}),
    "pruned": ("--mute", {"size": 7}),
    "failed": ("--bad", {"size": 8, "symbol": "x-thin", "line": {"width": 2, "color": "--bad"}}),
    "running": ("--third-line", {"size": 8, "symbol": "diamond"}),
}
"""Colour and marker of each kind of trial."""


def kind_of(trial: "Trial") -> str:
    """What a chart makes of a trial: a key of `LOOKS`, or `waiting`."""
    if trial.excluded:
        return "excluded"
    if trial.state == TrialState.COMPLETE:
        return "complete" if trial.feasible else "infeasible"
    return str(trial.state).lower()


def counted(trials: "Sequence[Trial]") -> "list[Trial]":
    """Those whose values count for the best."""
    return [trial for trial in trials if kind_of(trial) == "complete" and trial.values]


def told(trial: "Trial", sweep: "Sweep", t: Texts, settings: bool = True) -> str:
    """What stands beside a point: number, values, settings."""
    lines = [f"<b>{t('sweep.trial_n', n=trial.number)}</b>"]
    lines += [
        f"{html.escape(objective.metric)} {value:.5g}"
        for objective, value in zip(sweep.spec.objectives, trial.values, strict=False)
    ]
    if settings:
        lines += [f"{html.escape(name)} {html.escape(setting(value))}" for name, value in trial.params.items()]
    if kind_of(trial) != "complete":
        lines.append(t(f"js.trial.{kind_of(trial).upper()}"))
    return "<br>".join(lines)


def axis_title(sweep: "Sweep", objective: int, t: Texts) -> str:
    """A metric with the direction in which it gets better."""
    goal = sweep.spec.objectives[objective]
    return f"{html.escape(goal.metric)} ({t('sweep.' + goal.direction)})"


def points(trials: "Sequence[Trial]", xs: Sequence[Any], ys: Sequence[Any], kind: str, sweep: "Sweep", t: Texts) -> Any:
    """A trace of one kind's trials as markers."""
    colour, marker = LOOKS[kind]
    return {
        "type": "scatter",
        "mode": "markers",
        "name": t(f"js.trial.{kind.upper()}"),
        "x": list(xs),
        "y": list(ys),
        "marker": {"color": colour} | marker,
        "text": [told(trial, sweep, t) for trial in trials],
        "customdata": [trial.number for trial in trials],
        "hovertemplate": "%{text}<extra></extra>",
    }


def history(sweep: "Sweep", trials: "Sequence[Trial]", t: Texts, objective: int = 0) -> Figure:
    """The value of each trial by its number, and the best so far."""
    shown = [trial for trial in trials if len(trial.values) > objective and trial.state != TrialState.RUNNING]
    failed = [trial for trial in trials if kind_of(trial) == "failed"]
    if not shown and not failed:
        return {"empty": t("sweep.no_values")}
    data = []
    for kind in ("pruned", "excluded", "infeasible", "complete"):
        those = [trial for trial in shown if kind_of(trial) == kind]
        values = [trial.values[objective] for trial in those]
        if those:
            data.append(points(those, [trial.number for trial in those], values, kind, sweep, t))
    best = _best_so_far(sweep, trials, objective)
    if best:
        numbers, values = zip(*best, strict=True)
        line = {"type": "scatter", "mode": "lines", "name": t("sweep.best_so_far"), "x": numbers, "y": values}
        data.append(line | {"line": {"color": "--second-line", "width": 2, "shape": "hv"}, "hoverinfo": "skip"})
    if failed:  # they have no value, so they stand in a row of their own below
        row = points(failed, [trial.number for trial in failed], [0] * len(failed), "failed", sweep, t)
        data.append(row | {"yaxis": "y2"})
    whole: dict[str, Any] = {"tickformat": "d"} | ({"dtick": 1} if len(trials) < 10 else {})
    layout = {
        "xaxis": {"title": {"text": t("sweep.number_axis")}, "anchor": "y2" if failed else "y"} | whole,
        "yaxis": {"title": {"text": axis_title(sweep, objective, t)}, "domain": [0.1 if failed else 0, 1]},
        "yaxis2": {"domain": [0, 0.07], "visible": False, "range": [-1, 1], "fixedrange": True},
    }
    return {"data": data, "layout": layout}


def _best_so_far(sweep: "Sweep", trials: "Sequence[Trial]", objective: int) -> list[tuple[int, float]]:
    sign, best, found = sweep.spec.objectives[objective].sign, None, []
    for trial in counted(trials):
        value = trial.values[objective]
        best = value if best is None or sign * value < sign * best else best
        found.append((trial.number, best))
    if found:
        found.append((max(found[-1][0], trials[-1].number), found[-1][1]))
    return found


def front(sweep: "Sweep", trials: "Sequence[Trial]", t: Texts, axes: tuple[int, int] = (0, 1)) -> Figure:
    """Of several objectives two against each other; the trials that no other one beats are joined by a line."""
    shown = [trial for trial in trials if len(trial.values) > max(axes) and trial.state != TrialState.RUNNING]
    if not shown:
        return {"empty": t("sweep.no_values")}
    first, second = axes
    data = []
    for kind in ("excluded", "infeasible", "complete"):
        those = [trial for trial in shown if kind_of(trial) == kind]
        if those:
            xs, ys = [trial.values[first] for trial in those], [trial.values[second] for trial in those]
            trace = points(those, xs, ys, kind, sweep, t)
            data.append(trace | ({"marker": {"color": "--mute", "size": 8}} if kind == "complete" else {}))
    best = sorted((trial for trial in shown if trial.number in sweep.best), key=lambda trial: trial.values[first])
    if best:
        xs, ys = [trial.values[first] for trial in best], [trial.values[second] for trial in best]
        trace = points(best, xs, ys, "complete", sweep, t)
        line = {"color": "--accent-line", "width": 1.5, "shape": "hv", "dash": "dot"}
        trace |= {"name": t("sweep.front"), "mode": "lines+markers", "line": line}
        data.append(trace | {"marker": {"color": "--accent-line", "size": 10}})
    layout = {
        "xaxis": {"title": {"text": axis_title(sweep, first, t)}},
        "yaxis": {"title": {"text": axis_title(sweep, second, t)}},
    }
    return {"data": data, "layout": layout}


def intermediate(sweep: "Sweep", trials: "Sequence[Trial]", t: Texts) -> Figure:
    """How the first objective went in each trial, by percent of the training; those that were ended early in grey."""
    lines: dict[str, list[Trial]] = {}
    for trial in trials:
        if trial.intermediate:
            kind = "best" if trial.number in sweep.best else kind_of(trial)
            lines.setdefault(kind, []).append(trial)
    if not lines:
        return {"empty": t("sweep.no_intermediate")}
    data = []
    for kind in ("pruned", "failed", "excluded", "infeasible", "complete", "running", "best"):
        if those := lines.get(kind):
            data.append(_curves(those, kind, t))
    layout = {
        "xaxis": {"title": {"text": t("sweep.percent_axis")}, "range": [0, 101], "ticksuffix": " %"},
        "yaxis": {"title": {"text": axis_title(sweep, 0, t)}},
    }
    return {"data": data, "layout": layout}


def _curves(trials: "list[Trial]", kind: str, t: Texts) -> dict[str, Any]:
    """The curves of one kind's trials as one trace, with a gap after each."""
    xs: list[Any] = []
    ys: list[Any] = []
    numbers: list[Any] = []
    for trial in trials:
        steps = sorted(trial.intermediate)
        steps = [*steps[: -1 : max(1, len(steps) // MOST_POINTS)], steps[-1]]
        xs += [*steps, None]
        ys += [*(float(f"{trial.intermediate[step]:.5g}") for step in steps), None]
        numbers += [trial.number] * (len(steps) + 1)
    colour = LOOKS["complete" if kind == "best" else kind][0]
    return {
        "type": "scatter",
        "mode": "lines+markers",  # a trial that was ended at the first stage is one point
        "name": t("sweep.best") if kind == "best" else t(f"js.trial.{kind.upper()}"),
        "x": xs,
        "y": ys,
        "customdata": numbers,
        "line": {"color": colour, "width": 3 if kind == "best" else 1.2},
        "marker": {"size": 4},
        "opacity": 1 if kind in ("best", "running", "pruned") else 0.55,
        "hovertemplate": f"{t('sweep.trial_n', n='%{customdata}')}<br>%{{x}} %: %{{y:.5g}}<extra></extra>",
    }


def timeline(sweep: "Sweep", trials: "Sequence[Trial]", t: Texts, now: float) -> Figure:
    """When each trial was on which device."""
    shown = [trial for trial in trials if trial.started_at is not None]
    if not shown:
        return {"empty": t("sweep.no_slots")}
    data = []
    for kind in LOOKS:
        those = [trial for trial in shown if kind_of(trial) == kind]
        if not those:
            continue
        starts = [trial.started_at or 0.0 for trial in those]
        ends = [trial.ended_at or now for trial in those]
        data.append(
            {
                "type": "bar",
                "orientation": "h",
                "name": t(f"js.trial.{kind.upper()}"),
                "y": [html.escape(trial.device or "–") for trial in those],
                "base": [round(1000 * start) for start in starts],
                "x": [round(1000 * max(1.0, end - start)) for start, end in zip(starts, ends, strict=True)],
                "marker": {"color": LOOKS[kind][0], "line": {"color": "--card", "width": 1}},
                "hovertext": [told(trial, sweep, t) for trial in those],
                "hovertemplate": "%{hovertext}<extra></extra>",
                "customdata": [trial.number for trial in those],
            }
        )
    devices = len({trial.device for trial in shown})
    layout = {
        "barmode": "overlay",
        "bargap": 0.25,
        "xaxis": {"type": "date"},
        "yaxis": {"type": "category", "categoryorder": "category descending", "fixedrange": True},
    }
    return {"data": data, "layout": layout, "height": 110 + 34 * devices}
