"""The attempts of a task on its page: how each ended, and what was changed for the next."""

from typing import TYPE_CHECKING

from dash import html

from dash_app import formats
from dash_app.components import attributes, card, moment
from dash_app.pages.models import table
from dash_app.texts import Texts

if TYPE_CHECKING:
    from minimind_platform import Attempt

COLUMNS = ("attempt", "began", "lasted", "ending", "settings")


def attempts_panel(attempts: "list[Attempt]", t: Texts) -> html.Section | None:
    """Newest first; nothing for a task with one attempt, whose history says the same."""
    if len(attempts) < 2:
        return None
    heads = [t(f"attempts.{name}") for name in COLUMNS]
    return card(t("attempts.title"), [table(heads, [_row(each, t) for each in reversed(attempts)])], id="task-attempts")


def _row(attempt: "Attempt", t: Texts) -> html.Tr:
    lasted = None if attempt.ended_at is None else attempt.ended_at - attempt.began_at
    changed = [f"{name} {formats.setting(value)}" for name, value in attempt.overrides.items()]
    why = t(f"failure.{attempt.error_class}") if attempt.error_class else ""
    cells = (
        attempt.number,
        moment(attempt.began_at, exact=True),
        "–" if lasted is None else formats.duration(lasted, t),
        [why, html.Div(t.reason(attempt.ending), className="quiet")] if why else t.reason(attempt.ending) or "–",
        ", ".join(changed) or t("attempts.as_chosen"),
    )
    labels = (t(f"attempts.{name}") for name in COLUMNS)
    return html.Tr(
        [html.Td(content, **attributes(data_label=label)) for label, content in zip(labels, cells, strict=True)]
    )
