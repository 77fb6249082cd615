"""REST behind the form of a new task: what it holds as YAML, as a command and as Python, and what YAML means for it."""

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field

from dash_app import forms
from dash_app.form_changes import settings_of
from dash_app.rest import texts_of
from dash_app.views import answer
from minimind_platform import as_command, as_python, as_yaml, read_yaml, with_own_names
from minimind_platform.errors import NotFoundError

if TYPE_CHECKING:
    from minimind_platform import ConfigField, Platform

LONGEST_TEXT = 1 << 18


class Form(BaseModel):
    """What a form holds: texts by input, those of all training types."""

    type: str
    values: dict[str, Any] = Field(default_factory=dict)
    name: str | None = ""
    priority: str | int | None = 0


class Text(BaseModel):
    """YAML that somebody has written."""

    text: str = Field(max_length=LONGEST_TEXT)
    type: str = Field(description="The training type that is meant where the text names none.")


def form_router(platform: "Platform") -> APIRouter:
    """Routes below `/api/form`; they make nothing."""
    router = APIRouter(prefix="/api/form", tags=["settings"])

    @router.post("/write")
    def write(body: Form) -> Response:
        """The settings of a form that differ from the defaults, as YAML, as a command and as Python."""
        _known(platform, body.type)
        settings = settings_of(platform, body.type, body.values)
        told = (body.type, {n: v for n, v in settings.items() if v not in (None, "")}, body.name or "")
        priority = int(body.priority or 0)
        return answer(
            {
                "yaml": as_yaml(*told, priority),
                "command": as_command(*told, priority),
                "python": as_python(*told, priority),
            }
        )

    @router.post("/read")
    def read(body: Text, request: Request) -> Response:
        """What a form holds after YAML was written, and all that is wrong with it, with its line."""
        _known(platform, body.type)
        return answer(_read(platform, body, request))

    return router


def _known(platform: "Platform", name: str) -> None:
    if name not in platform.training_types():
        raise NotFoundError(f"There is no training type {name!r}.")


def _read(platform: "Platform", body: Text, request: Request) -> dict[str, Any]:
    t, types = texts_of(request), platform.training_types()
    read = read_yaml(body.text)
    chosen = read.type or body.type
    told: dict[str, Any] = {"readable": read.readable}
    found: list[Any] = []
    if read.readable:
        with_own_names(chosen, read)
        found = [(read.line_of(problem), problem) for problem in platform.check(chosen, read.values).problems]
        fields = forms.type_fields(types, chosen)
        given = {name: _held(fields[name], value) for name, value in read.values.items() if name in fields}
        values = forms.default_values(types, chosen) | given
        told |= {"type": chosen, "values": values, "name": read.name or "", "priority": str(read.priority or 0)}
        settings = {n: v for n, v in settings_of(platform, chosen, values).items() if v not in (None, "")}
        told["yaml"] = as_yaml(chosen, settings, told["name"], read.priority or 0)
    told["lost"] = bool(read.problems)  # something stands in the text that the form has no place for
    lines = sorted([*read.problems, *found], key=lambda item: item[0])
    told["problems"] = [
        {"line": line, "label": t.label(p.field, types[chosen]) if p.field else "", "message": t.problem(p)}
        for line, p in lines
    ]
    return told


def _held(field: "ConfigField", value: Any) -> Any:
    """What an input holds of a value that somebody has written, right or wrong."""
    if field.kind == "bool":
        return value if isinstance(value, bool) else field.default
    if field.kind == "rewards" and not (isinstance(value, list) and all(isinstance(item, dict) for item in value)):
        return str(value)
    return forms.form_value(field, value)
