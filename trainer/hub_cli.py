"""`fetch` on the command line: lists what can be had from the hub, or brings it.

python -m trainer.data_cli fetch
python -m trainer.data_cli fetch pretrain_t2t_mini sft_t2t_mini
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from trainer.hub_files import ITEMS, HubItem
from trainer.names import Env, ExitCode

PROGRESS_SECONDS = 0.5
PROGRESS_STEP = 10
"""Percent between two lines where the output is no terminal."""


def add_fetch(parser: argparse.ArgumentParser) -> Callable[[argparse.Namespace], int]:
    """Give a parser the options of `fetch`; returns what runs it."""
    parser.add_argument("names", nargs="*", metavar="NAME", help="what to bring; without one, what there is is listed")
    home = Path(os.environ.get(Env.HOME) or Path.cwd())
    parser.add_argument(
        "--home", type=Path, default=home, help="folder with dataset/ and out/ [MINIMIND_HOME, or here]"
    )
    parser.add_argument("--replace", action="store_true", help="overwrite files of the same name that are different")
    parser.add_argument("--json", action="store_true", help="print JSON; progress goes to stderr, one line each")
    return _fetch


def item_view(item: HubItem, home: Path) -> dict[str, Any]:
    """One thing that can be fetched, and how much of it is there."""
    return {
        "name": item.name,
        "kind": item.kind,
        "format": item.format,
        "bytes": item.bytes,
        "about": item.about,
        "licence": item.licence,
        "source": item.repo,
        "path": item.path,
        "found": item.found(home),
        "part_bytes": item.part_bytes(home),
    }


def _fetch(options: argparse.Namespace) -> int:
    home = options.home.expanduser().resolve()
    if not options.names:
        _list(home, options.json)
        return ExitCode.FINISHED
    from trainer.hub import fetch, item_of  # the library takes a second

    named = [item_of(name) for name in options.names]  # a wrong name is told before anything is fetched
    items: dict[str, HubItem] = {}
    for item in named:
        if item.tokenizer:
            items[item.tokenizer] = ITEMS[item.tokenizer]
        items[item.name] = item
    fetched = []
    for item in items.values():
        show = _json_progress() if options.json else _shown_progress(item.name)
        files = fetch(item, home, options.replace, show)
        if sys.stderr.isatty() and not options.json:
            print(file=sys.stderr)
        fetched.append({"name": item.name, "path": item.path, "files": [vars(file) for file in files]})
        if not options.json:
            for file in files:
                state = "was there already" if file.known else "fetched"
                print(f"{file.path}  {_size(file.bytes)}  {state}, SHA-256 {file.sha256[:16]}… is right")
            print(_use(item))
    if options.json:
        print(json.dumps(fetched, ensure_ascii=False, default=str))
    return ExitCode.FINISHED


def _list(home: Path, as_json: bool) -> None:
    views = [item_view(item, home) for item in ITEMS.values()]
    if as_json:
        print(json.dumps(views, ensure_ascii=False))
        return
    heads = {"data": "Data, into dataset/", "weights": "Weights to start from", "tokenizer": "Tokenizers"}
    for kind, head in heads.items():
        chosen = [view for view in views if view["kind"] == kind]
        print(f"{head} ({', '.join(dict.fromkeys(view['licence'] for view in chosen))})")
        for view in chosen:
            there = "  [is there]" if view["found"] else "  [begun]" if view["part_bytes"] else ""
            form = f"{view['format']:9}" if kind == "data" else ""
            print(f"  {view['name']:24} {_size(view['bytes']):>8}  {form}{view['about']}{there}")
        print()
    print("`minimind data fetch NAME` brings one. HF_ENDPOINT=https://hf-mirror.com takes a mirror.")


def _use(item: HubItem) -> str:
    """How a training takes it."""
    if item.kind == "data":
        return f"Train on it with --data_path {item.path}"
    if item.kind == "tokenizer":
        return f"Use it with --tokenizer_path {item.path}"
    tokenizer = f" --tokenizer_path {ITEMS[item.tokenizer].path}" if item.tokenizer else ""
    return f"Start from it with --from_weight {item.path}{tokenizer}"


def _json_progress() -> Callable[[int, int], None]:
    """Lines {"done", "total"} on stderr, a few a second."""
    last = 0.0

    def show(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= PROGRESS_SECONDS or done == total:
            last = now
            print(json.dumps({"done": done, "total": total}), file=sys.stderr, flush=True)

    return show


def _shown_progress(name: str) -> Callable[[int, int], None]:
    """A line that is written again and again on a terminal; elsewhere a line for each tenth."""
    tty, last, told = sys.stderr.isatty(), 0.0, -1

    def show(done: int, total: int) -> None:
        nonlocal last, told
        percent = 100 * done // max(1, total)
        now = time.monotonic()
        if not (now - last >= PROGRESS_SECONDS or done == total if tty else percent // PROGRESS_STEP > told):
            return
        last, told = now, percent // PROGRESS_STEP
        line = f"{name}  {percent}%  {_size(done)} of {_size(total)}"
        print(f"\r{line:70}" if tty else line, end="" if tty else "\n", file=sys.stderr, flush=True)

    return show


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"
