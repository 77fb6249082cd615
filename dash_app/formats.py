"""Numbers as people read them: 12,613; 1.3 M; 2.1 GB; 3 min 20 s. The scripts in assets/ write them the same way."""

from dash_app.texts import Texts

BYTE_UNITS = ("B", "KB", "MB", "GB", "TB")


def whole(value: float | None) -> str:
    """12,613"""
    return "–" if value is None else f"{round(value):,}"


def short(value: float) -> str:
    """1.3 M"""
    for limit, unit in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e4, "K")):
        if value >= limit:
            scaled = value / (1e3 if unit == "K" else limit)
            return f"{scaled:.1f} {unit}" if scaled < 100 else f"{scaled:.0f} {unit}"
    return whole(value)


def size(value: float) -> str:
    """2.1 GB"""
    unit = 0
    while value >= 999.5 and unit < len(BYTE_UNITS) - 1:
        value, unit = value / 1000, unit + 1
    return f"{value:.0f} {BYTE_UNITS[unit]}" if unit == 0 or value >= 100 else f"{value:.1f} {BYTE_UNITS[unit]}"


def loss(value: float | None) -> str:
    """2.1072"""
    return "–" if value is None else f"{value:.4f}"


def rate(value: float) -> str:
    """1.83e-4"""
    return f"{value:.3g}" if value >= 1e-3 or not value else f"{value:.2e}".replace("e-0", "e-")


def duration(seconds: float, t: Texts) -> str:
    """3 min 20 s"""
    if seconds < 1:
        return f"< 1 {t('js.unit_s')}"
    total = round(seconds)
    parts = (("d", total // 86400), ("h", total // 3600 % 24), ("min", total // 60 % 60), ("s", total % 60))
    first = next(i for i, (_, count) in enumerate(parts) if count)
    return " ".join(f"{count} {t('js.unit_' + unit)}" for unit, count in parts[first : first + 2] if count)


def setting(value: object) -> str:
    """A setting as it would be typed; floats short, so that 1e-05 stays readable."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        text = f"{value:.10g}"
        return text.replace("e-0", "e-").replace("e+0", "e")
    return str(value)
