"""The place of a page's charts. `assets/65-chart-panel.js` fills it: what it draws and says comes from here."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from dash import html

from dash_app.charts import Group, groups
from dash_app.components import attributes
from dash_app.texts import Texts

if TYPE_CHECKING:
    from minimind_platform import Task


def task_charts(task: "Task", t: Texts) -> html.Div:
    """All charts of a task."""
    return chart_place(groups(task), t)


def chart_place(found: Sequence[Group], t: Texts) -> html.Div:
    """Room for charts in groups; the script makes their cards, as it does for runs whose metrics it has to ask for."""
    specs = json.dumps([group.spec(t) for group in found], ensure_ascii=False)
    return html.Div(id="charts", className="chart-panel", **attributes(data_groups=specs))
