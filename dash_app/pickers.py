"""Lists to pick a data set or base weights from, under the input that holds the choice."""

from typing import TYPE_CHECKING, Any

from dash import html

from dash_app import formats
from dash_app.components import attributes, icon, moment
from dash_app.texts import Texts
from minimind_platform.errors import TrackingUnavailableError

if TYPE_CHECKING:
    from minimind_platform import Dataset, ModelVersion, Platform


def datasets(platform: "Platform", data_format: str, t: Texts) -> Any:
    """The data sets found, those of the wanted format first."""
    found = platform.datasets()
    if not found:
        text = t("new.no_datasets", folder=str(platform.settings.data_dir))
        return html.P([icon("info-circle"), text], className="picks-empty")
    ordered = sorted(found, key=lambda d: (d.format != data_format, d.format == "", d.path))
    return _list("data_path", t("new.pick_dataset"), [_dataset(d, data_format, t) for d in ordered])


def weights(platform: "Platform", field: str, needed: bool, t: Texts) -> Any:
    """Registered versions and weight files in out/; for a model that may start from nothing, no weights first."""
    picks: list[Any] = []
    if field == "from_weight" and not needed:
        picks.append(_pick(field, "none", t("new.weight_none"), [t("new.weight_none_hint")]))
    try:
        picks += [_version(field, version, t) for version in platform.models()]
    except TrackingUnavailableError:
        picks.append(html.P([icon("cloud-slash"), t("models.away")], className="picks-empty"))
    for file in platform.weight_files():
        facts = [formats.size(file.bytes), moment(file.modified_at)]
        badge = "LoRA" if file.lora else ".pth" if file.name.endswith(".pth") else ""
        picks.append(_pick(field, f"out/{file.name}", file.name, facts, badge))
    if not picks:
        return html.P([icon("info-circle"), t("new.no_weights")], className="picks-empty")
    label = t("new.pick_weight") if field == "from_weight" else t("new.pick_teacher")
    return _list(field, label, picks)


def _dataset(dataset: "Dataset", data_format: str, t: Texts) -> html.Button:
    facts: list[Any] = [formats.size(dataset.bytes)]
    if dataset.rows is not None:
        facts.insert(0, t("new.rows", count=formats.whole(dataset.rows)))
    fits = dataset.format == data_format
    if not fits:
        hint = t("new.other_format") if dataset.format else t("new.unknown_format")
        facts.append(html.Span(hint, className="pick-warn"))
    return _pick("data_path", dataset.path, dataset.path, facts, dataset.format, fits)


def _version(field: str, version: "ModelVersion", t: Texts) -> html.Button:
    facts: list[Any] = [f"{t('models.step')} {formats.whole(version.step)}"]
    if version.eval_reward is not None:
        facts.append(t("models.eval_reward", n=formats.loss(version.eval_reward)))
    elif version.eval_loss is not None or version.loss is not None:
        key = "loss" if version.eval_loss is None else "eval_loss"
        facts.append(f"{t('models.' + key)} {formats.loss(getattr(version, key))}")
    facts.append(moment(version.created_at))
    title = f"{version.name} / {version.version}"
    return _pick(field, f"models:/{version.name}/{version.version}", title, facts, " · ".join(version.aliases))


def _pick(field: str, value: str, title: str, facts: list[Any], badge: str = "", fits: bool = True) -> html.Button:
    line: list[Any] = []
    for fact in facts:
        line += [" · ", fact] if line else [fact]
    return html.Button(
        [
            html.Span(title, className="pick-title"),
            html.Span(badge, className="tag", **attributes(data_tag=badge)) if badge else None,
            html.Span(line, className="pick-facts"),
        ],
        className="pick" if fits else "pick pick-other",
        **attributes(data_pick=field, data_value=value, type="button"),  # type: ignore[arg-type]
    )


def _list(field: str, label: str, picks: list[Any]) -> html.Div:
    return html.Div(picks, className="picks", role="group", id=f"picks-{field}", **attributes(aria_label=label))
