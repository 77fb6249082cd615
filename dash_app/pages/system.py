"""This machine: `/system`. `assets/63-system.js` fills it, every two seconds."""

from typing import TYPE_CHECKING

from dash import html

from dash_app.components import attributes, card, page_head
from dash_app.texts import Texts

if TYPE_CHECKING:
    from minimind_platform import Platform


def layout(_platform: "Platform", t: Texts) -> html.Div:
    """The places of warnings, devices, disk, slots, tasks and processes."""
    places = [
        card(t(f"system.{name}"), [html.Div(id=f"system-{name}", className="system-body")], t(f"system.{name}_hint"))
        for name in ("disk", "slots", "tasks", "processes")
    ]
    return html.Div(
        [
            page_head(t("system.title"), t("system.subtitle")),
            html.Div(id="system-banners"),
            html.Div(id="system-devices", className="devices", **attributes(aria_busy="true")),
            html.Div(places, className="system-panels"),
        ],
        className="page page-system",
        **attributes(data_title=t("system.title")),
    )
