"""Charts of what the searched settings do to the value, as figures like those of `sweep_charts.py`."""

import html
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dash_app.formats import setting
from dash_app.sweep_charts import Figure, axis_title, counted, kind_of, points, told
from dash_app.texts import Texts

if TYPE_CHECKING:
    from minimind_platform.sweeps.space import Param
    from minimind_platform.sweeps.views import Sweep, Trial

SHADES = ("--shade-0", "--shade-1", "--shade-2", "--shade-3", "--shade-4")
"""From the best value to the worst."""
GRID = 28
"""Points of the map on each side."""


def importance(shares: Mapping[str, float], t: Texts) -> Figure:
    """How much of the differences between the trials each setting explains."""
    if not shares:
        return {"empty": t("sweep.no_importance")}
    names = list(shares)[::-1]
    trace = {
        "type": "bar",
        "orientation": "h",
        "y": [_label(name, t) for name in names],
        "x": [round(shares[name], 4) for name in names],
        "text": [f"{100 * shares[name]:.0f} %" for name in names],
        "textposition": "outside",
        "cliponaxis": False,
        "marker": {"color": "--accent-line"},
        "hoverinfo": "skip",
    }
    most = max(shares.values())
    layout = {
        "xaxis": {"range": [0, max(0.1, most * 1.2)], "visible": False, "fixedrange": True},
        "yaxis": {"type": "category", "automargin": True, "fixedrange": True, "showgrid": False},
        "bargap": 0.4,
        "showlegend": False,
    }
    return {"data": [trace], "layout": layout, "height": 70 + 36 * len(names)}


def parallel(sweep: "Sweep", trials: "Sequence[Trial]", t: Texts, objective: int = 0) -> Figure:
    """Each trial as a line through its settings to its value: the better, the stronger its colour."""
    shown = counted(trials)
    if len(shown) < 2:
        return {"empty": t("sweep.no_parallel")}
    scales = [_Scale.of(param, shown, t) for param in sweep.spec.params]
    values = [trial.values[objective] for trial in shown]
    metric = html.escape(sweep.spec.objectives[objective].metric)
    scales.append(_Scale(metric, min(values), max(values), log=False))
    sign = sweep.spec.objectives[objective].sign
    ranked = sorted(shown, key=lambda trial: -sign * trial.values[objective])  # the best is drawn last, on top
    gaps = any(param.when for param in sweep.spec.params)  # a setting that is not searched has a place below its axis
    data = []
    size = -(-len(ranked) // len(SHADES))
    for index, begin in enumerate(range(0, len(ranked), size)):
        group = ranked[begin : begin + size]
        shade = SHADES[max(0, -(-len(ranked) // size) - 1 - index)]
        data.append(_lines(group, scales, objective, sweep, t) | {"line": {"color": shade, "width": 1.4}})
    data.append(_lines(ranked[-1:], scales, objective, sweep, t) | {"line": {"color": "--second-line", "width": 3}})
    layout = {
        "xaxis": {
            "side": "top",
            "tickvals": list(range(len(scales))),
            "ticktext": [scale.title for scale in scales],
            "range": [-0.2, len(scales) - 0.6],
            "fixedrange": True,
            "tickangle": 0,
        },
        "yaxis": {"visible": False, "range": [-0.14 if gaps else -0.04, 1.05], "fixedrange": True},
        "shapes": [_axis_line(index) for index in range(len(scales))],
        "annotations": [note for index, scale in enumerate(scales) for note in scale.notes(index)],
        "showlegend": False,
    }
    return {"data": data, "layout": layout}


def slices(sweep: "Sweep", trials: "Sequence[Trial]", t: Texts, objective: int = 0, columns: int = 4) -> Figure:
    """The value by each setting, one panel a setting."""
    shown = [trial for trial in trials if trial.values and kind_of(trial) in ("complete", "infeasible", "pruned")]
    params = sweep.spec.params
    if not shown or not params:
        return {"empty": t("sweep.no_values")}
    columns = min(columns, len(params))
    rows = -(-len(params) // columns)
    gap = 0.3 if rows > 1 else 0.0
    data: list[Any] = []
    layout: dict[str, Any] = {"showlegend": False}
    for index, param in enumerate(params):
        row, column = divmod(index, columns)
        tail = "" if not index else str(index + 1)
        left, wide = column / columns, 1 / columns
        top = 1 - row / rows
        layout[f"xaxis{tail}"] = _setting_axis(param, t) | {
            "domain": [left + 0.06 * wide * bool(column), left + 0.94 * wide],
            "anchor": f"y{tail}",
        }
        layout[f"yaxis{tail}"] = {"domain": [top - (1 - gap) / rows, top], "anchor": f"x{tail}"}
        if index:
            layout[f"yaxis{tail}"] |= {"matches": "y", "showticklabels": column == 0}
        if column == 0:
            layout[f"yaxis{tail}"] |= {"title": {"text": axis_title(sweep, objective, t)}}
        for kind in ("pruned", "infeasible", "complete"):
            those = [trial for trial in shown if kind_of(trial) == kind and param.name in trial.params]
            xs = [_plotted(param, trial.params[param.name]) for trial in those]
            ys = [trial.values[objective] if len(trial.values) > objective else None for trial in those]
            if those:
                trace = points(those, xs, ys, kind, sweep, t)
                data.append(trace | {"xaxis": f"x{tail}", "yaxis": f"y{tail}"})
    return {"data": data, "layout": layout, "height": 80 + 210 * rows}


def contour(sweep: "Sweep", trials: "Sequence[Trial]", t: Texts, x: str, y: str, objective: int = 0) -> Figure:
    """The value over two settings: each place takes the mean of the trials, near ones counting most."""
    params = {param.name: param for param in sweep.spec.params}
    across, up = params.get(x), params.get(y)
    if across is None or up is None or across == up:
        return {"empty": t("sweep.two_settings")}
    shown = [trial for trial in counted(trials) if x in trial.params and y in trial.params]
    if len(shown) < 3:
        return {"empty": t("sweep.no_contour")}
    scales = _Scale.of(across, shown, t), _Scale.of(up, shown, t)
    known = [
        (scales[0].place(trial.params[x]), scales[1].place(trial.params[y]), trial.values[objective]) for trial in shown
    ]
    steps = [index / (GRID - 1) for index in range(GRID)]
    sign = sweep.spec.objectives[objective].sign
    shades = SHADES if sign > 0 else SHADES[::-1]
    surface = {
        "type": "contour",
        "x": [scales[0].value(step) for step in steps],
        "y": [scales[1].value(step) for step in steps],
        "z": [[_nearby(known, right, high) for right in steps] for high in steps],
        "colorscale": [[index / (len(shades) - 1), shade] for index, shade in enumerate(shades)],
        "contours": {"coloring": "heatmap"},
        "line": {"width": 0.6, "color": "--card"},
        "colorbar": {"thickness": 10, "outlinewidth": 0, "tickfont": {"size": 11}},
        "hoverinfo": "skip",
    }
    xs = [_plotted(across, trial.params[x]) for trial in shown]
    ys = [_plotted(up, trial.params[y]) for trial in shown]
    dots = points(shown, xs, ys, "complete", sweep, t)
    dots["marker"] = {"color": "--card", "size": 8, "line": {"color": "--ink", "width": 1}}
    layout = {"xaxis": _setting_axis(across, t), "yaxis": _setting_axis(up, t), "showlegend": False}
    return {"data": [surface, dots], "layout": layout}


def _nearby(known: Sequence[tuple[float, float, float]], right: float, high: float) -> float:
    """Mean of all values by the inverse cube of their distance."""
    total = weights = 0.0
    for x, y, value in known:
        weight = ((x - right) ** 2 + (y - high) ** 2 + 1e-3) ** -1.5
        total += weight * value
        weights += weight
    return float(f"{total / weights:.5g}")


class _Scale:
    """An axis from 0 to 1 for a setting or a value."""

    def __init__(self, title: str, low: float, high: float, log: bool, choices: tuple[Any, ...] = ()) -> None:
        self.title, self.log, self.choices = title, log, choices
        self.low, self.high = (math.log(low), math.log(high)) if log else (low, high)

    @classmethod
    def of(cls, param: "Param", trials: "Sequence[Trial]", t: Texts) -> "_Scale":
        """As wide as the space, or as the trials where a person went beyond it."""
        title = _label(param.name, t)
        used = [trial.params[param.name] for trial in trials if param.name in trial.params]
        if param.kind == "choice":
            choices = (*param.choices, *(value for value in dict.fromkeys(used) if value not in param.choices))
            return cls(title, 0, max(1, len(choices) - 1), False, choices)
        return cls(title, min([param.low, *used]), max([param.high, *used]), param.log)

    def place(self, value: Any) -> float:
        """Where a value is."""
        at = self.choices.index(value) if self.choices else math.log(value) if self.log else float(value)
        return (at - self.low) / ((self.high - self.low) or 1)

    def value(self, place: float) -> float:
        """What is at a place; of choices the place itself, counted from 0."""
        at = self.low + place * (self.high - self.low)
        return math.exp(at) if self.log else at

    def notes(self, index: int) -> list[dict[str, Any]]:
        """Marks along the axis at a place of the chart."""
        if self.choices:
            marks = [(self.place(choice), setting(choice)) for choice in self.choices]
        else:
            marks = [(place, f"{self.value(place):.3g}") for place in (0.0, 0.5, 1.0)]
        shared = {"x": index, "xanchor": "left", "xshift": 4, "showarrow": False, "bgcolor": "--card", "opacity": 0.85}
        font = {"size": 11, "color": "--quiet"}
        return [shared | {"y": place, "text": html.escape(_cut(text)), "font": font} for place, text in marks]


def _lines(trials: "Sequence[Trial]", scales: Sequence[_Scale], objective: int, sweep: "Sweep", t: Texts) -> Any:
    xs: list[Any] = []
    ys: list[Any] = []
    numbers: list[Any] = []
    texts: list[Any] = []
    names = [param.name for param in sweep.spec.params]
    for trial in trials:
        places = [
            scale.place(trial.params[name]) if name in trial.params else -0.1
            for name, scale in zip(names, scales, strict=False)
        ]
        places.append(scales[-1].place(trial.values[objective]))
        xs += [*range(len(places)), None]
        ys += [*(round(place, 4) for place in places), None]
        numbers += [trial.number] * (len(places) + 1)
        texts += [told(trial, sweep, t, settings=False)] * (len(places) + 1)  # the axes tell the settings
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "marker": {"size": 4},
        "x": xs,
        "y": ys,
        "customdata": numbers,
        "text": texts,
        "hovertemplate": "%{text}<extra></extra>",
    }


def _axis_line(index: int) -> dict[str, Any]:
    return {
        "type": "line",
        "x0": index,
        "x1": index,
        "y0": 0,
        "y1": 1,
        "line": {"color": "--edge", "width": 1},
        "layer": "below",
    }


def _label(name: str, t: Texts) -> str:
    return html.escape(t.label(name))


def _plotted(param: "Param", value: Any) -> Any:
    """A value on its axis: choices by their place."""
    if param.kind != "choice":
        return value
    return param.choices.index(value) if value in param.choices else None


def _setting_axis(param: "Param", t: Texts) -> dict[str, Any]:
    axis: dict[str, Any] = {"title": {"text": _label(param.name, t)}}
    if param.kind == "choice":
        places = list(range(len(param.choices)))
        ticks = [html.escape(_cut(setting(choice))) for choice in param.choices]
        return axis | {"tickvals": places, "ticktext": ticks, "range": [-0.5, len(places) - 0.5]}
    return axis | ({"type": "log", "exponentformat": "e", "nticks": 4} if param.log else {})


def _cut(text: str) -> str:
    """Long values, such as paths, by their end."""
    return text if len(text) <= 18 else f"…{text[-17:]}"
