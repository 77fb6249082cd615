"""What is found out about data, as text for a terminal."""

import json
import sys
import time
from typing import Any

BAR = 40
"""Width of the longest bar, in characters."""
SHOWN_FILES = 20
_EIGHTHS = " ▏▎▍▌▋▊▉"


class Progress:
    """Tells on stderr how far a long reading is: lines of JSON for programs, a changing line or tenths for people."""

    def __init__(self, as_json: bool) -> None:
        self._json = as_json
        self._live = sys.stderr.isatty() and not as_json
        self._last = time.monotonic()
        self._tenth = 0

    def __call__(self, done: int, total: int) -> None:
        """Take note of bytes done of all bytes."""
        now = time.monotonic()
        if self._json or self._live:
            if now - self._last >= 0.2 or done >= total:
                self._last = now
                text = json.dumps({"done": done, "total": total}) + "\n" if self._json else f"\r{_share(done, total)} "
                print(text, end="", file=sys.stderr, flush=True)
        elif now - self._last > 2 and done < total and 10 * done // max(total, 1) > self._tenth:
            self._tenth = 10 * done // max(total, 1)
            print(f"{10 * self._tenth} %", file=sys.stderr, flush=True)

    def end(self) -> None:
        """Clear the line."""
        if self._live:
            print("\r\033[K", end="", file=sys.stderr, flush=True)


def stats_text(found: dict[str, Any]) -> str:
    """The statistics of a data set."""
    kept = found["tokens"] - found["truncated_tokens"]
    length, rows = found["length"], found["rows"]
    table = [("rows", f"{rows:,} good, {found['bad_rows']:,} bad")]
    if rows:
        table += [
            ("tokens", f"{found['tokens']:,}"),
            (
                "tokens a row",
                f"{length['min']:,} to {length['max']:,}, median {length['median']:,g}, mean {length['mean']:,g}, "
                f"95 % up to {length['p95']:,g}",
            ),
            (
                f"cut at {found['max_seq_len']:,}",
                f"{_rows(found['truncated_rows'])} ({_share(found['truncated_rows'], rows)}), "
                f"{found['truncated_tokens']:,} tokens ({_share(found['truncated_tokens'], found['tokens'])})",
            ),
            ("without loss", f"{_share(kept - found['labelled_tokens'], kept)} of the tokens that are left"),
            ("nothing to learn", _rows(found["unlabelled_rows"])),
            ("repeated", _repeated(found)),
        ]
    lines = [f"{found['path']}: format {found['format']}, {size(found['bytes'])}", ""]
    lines += [f"  {name:<18}{value}" for name, value in table]
    if rows:
        lines += ["", *bars(found["histogram"])]
    return "\n".join([*lines, *files_text(found["files"]), *_told(found)])


def files_text(files: list[dict[str, Any]]) -> list[str]:
    """The files of a folder; nothing for a single file."""
    if len(files) < 2:
        return []
    shown = files[:SHOWN_FILES]
    width = max(len(file["name"]) for file in shown)
    lines = ["", f"  {'file':<{width}}  {'rows':>12}  {'size':>10}"]
    lines += [f"  {file['name']:<{width}}  {file['rows']:>12,}  {size(file['bytes']):>10}" for file in shown]
    return lines + ([f"  … and {len(files) - len(shown):,} more"] if len(files) > len(shown) else [])


def bars(histogram: list[dict[str, int]]) -> list[str]:
    """A histogram with one line a step."""
    most = max(step["rows"] for step in histogram)
    width = len(f"{histogram[-1]['high']:,}")
    lines = [f"  {'tokens':>{2 * width + 3}}  rows"]
    for step in histogram:
        eighths = round(8 * BAR * step["rows"] / max(most, 1))
        bar = "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()
        if step["rows"] and not bar:
            bar = "▏"
        lines.append(f"  {step['low']:>{width},} – {step['high']:>{width},}  {bar} {step['rows']:,}")
    return lines


def preview_text(found: dict[str, Any]) -> str:
    """Rows, with what carries loss between ▶ and ◀."""
    lines: list[str] = []
    for row in found["rows"]:
        if "error" in row:
            lines += [f"── {row['where']}: {row['error']['message']} {row['error']['hint']}".rstrip(), ""]
            continue
        cut = f", cut at {row['cut_at']:,}" if row["cut_at"] else ""
        lines.append(f"── {row['where']}, {row['tokens']:,} tokens{cut}")
        for part in row.get("parts", [{"name": "", "spans": row["spans"]}]):
            lines += [f"[{part['name']}]"] if part["name"] else []
            lines.append("".join(map(_span, part["spans"])).rstrip("\n"))
        lines.append("")
    told = "" if found["total_rows"] is None else f" of {found['total_rows']:,}"
    return "\n".join([*lines, f"{len(found['rows']):,}{told} rows; ▶ loss ◀, ✂ cut off"])


def size(count: int) -> str:
    """Bytes in a unit that fits."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("KB", 1e3)):
        if count >= scale:
            return f"{count / scale:,.1f} {unit}"
    return f"{count} bytes"


def _span(span: dict[str, Any]) -> str:
    if span.get("cut"):
        return f"✂{span['text']}"
    return f"▶{span['text']}◀" if span["loss"] else span["text"]


def _repeated(found: dict[str, Any]) -> str:
    if not found["duplicate_rows"]:
        return _rows(0)
    more = ", …" if found["duplicate_rows"] > len(found["duplicate_lines"]) else ""
    return f"{_rows(found['duplicate_rows'])}: {', '.join(found['duplicate_lines'])}{more}"


def _told(found: dict[str, Any]) -> list[str]:
    """Notices and errors."""
    lines = [f"  {notice}" for notice in found["notices"]]
    lines += [f"  {error['message']} {error['hint']}".rstrip() for error in found["errors"]]
    more = found["bad_rows"] - len(found["errors"])
    lines += [f"  … and {more:,} more bad row{'s' if more > 1 else ''}"] if more > 0 else []
    return ["", *lines] if lines else []


def _rows(count: int) -> str:
    return f"{count:,} row{'' if count == 1 else 's'}"


def _share(some: int, everything: int) -> str:
    return f"{100 * some / max(everything, 1):.1f} %"
