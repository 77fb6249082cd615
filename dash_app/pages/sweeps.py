"""The list of all sweeps: `/sweeps?state=RUNNING&q=words`. The rows are kept by `assets/85-sweeps.js`, as those of
tasks are.
"""

import json
from typing import TYPE_CHECKING

from dash import html

from dash_app.components import attributes, link_button, page_head, search_box
from dash_app.texts import Texts

if TYPE_CHECKING:
    from minimind_platform import Platform


def layout(platform: "Platform", t: Texts) -> html.Div:
    """Filters and the place of the list."""
    types = {name: t.title(name, kind.title) for name, kind in platform.training_types().items()}
    chips = html.Div(id="sweep-chips", className="chips", role="group", **attributes(aria_label=t("sweeps.states")))
    filters = html.Div([search_box("sweep-search", t("sweeps.search")), chips], className="filters")
    new = link_button(t("sweeps.new"), "/sweeps/new", "plus-circle", "primary", id="new-sweep-link")
    told = attributes(data_types=json.dumps(types), data_label=t("sweeps.table"), aria_busy="true")
    return html.Div(
        [
            page_head(t("sweeps.title"), t("sweeps.subtitle"), new),
            html.Div(id="sweep-banners"),
            filters,
            html.Div(id="sweep-list", **told),
        ],
        className="page page-sweeps",
        **attributes(data_title=t("sweeps.title")),
    )
