"""What a page that was made in Python consists of."""

from typing import Any


def walk(component: Any) -> list[Any]:
    """A component and all below it."""
    if isinstance(component, list | tuple):
        return [found for item in component for found in walk(item)]
    children = getattr(component, "children", None)
    return [component, *walk(children)] if hasattr(component, "to_plotly_json") else [component]


def by_id(page: Any) -> dict[str, Any]:
    return {c.id: c for c in walk(page) if isinstance(getattr(c, "id", None), str)}


def text_of(component: Any) -> str:
    return "".join(str(c) for c in walk(component) if isinstance(c, str | int | float))
