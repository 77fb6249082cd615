"""`check`, `stats` and `preview` on the command line: looking into data sets.

python -m trainer.data_cli check dataset/sft.jsonl
python -m trainer.data_cli stats dataset/wiki --max_seq_len 512
python -m trainer.data_cli preview dataset/sft.jsonl --start 100 --rows 3
"""

import argparse
import dataclasses
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from trainer.configs import MAX_POSITIONS, TRAINING_TYPES, TrainConfig
from trainer.data_text import Progress, files_text, preview_text, stats_text
from trainer.errors import DataError
from trainer.names import Env, ExitCode
from trainer.row_formats import KEYS, TYPES
from trainer.rows import RowReader, check_rows, detect_formats
from trainer.sources import Place, open_data

_SHORTEST = 8
_HOW_TO_CHOOSE = f"Choose one with --type: {', '.join(KEYS)}."


def add_check(parser: argparse.ArgumentParser) -> Callable[[argparse.Namespace], int]:
    """Give a parser the options of `check`; returns what runs it."""
    _add_data(parser)
    return _check


def add_stats(parser: argparse.ArgumentParser) -> Callable[[argparse.Namespace], int]:
    """Give a parser the options of `stats`; returns what runs it."""
    _add_data(parser)
    _add_tokens(parser)
    return _stats


def add_preview(parser: argparse.ArgumentParser) -> Callable[[argparse.Namespace], int]:
    """Give a parser the options of `preview`; returns what runs it."""
    _add_data(parser)
    _add_tokens(parser)
    parser.add_argument("--start", type=_whole(0), default=0, help="rows to leave out first (default 0)")
    parser.add_argument("--rows", type=_whole(1), default=5, help="rows to show (default 5)")
    return _preview


def _add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", type=_path, help="a data file, or a folder of data files")
    parser.add_argument(
        "--type",
        choices=sorted({*TYPES, *TRAINING_TYPES}),
        metavar="TYPE",
        help="training type, or format of the data (default: as the first rows look)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON; progress goes to stderr, one line each")


def _path(text: str) -> Path:
    """A path as the shell has it; where there is nothing, as settings of a training have it, from the home folder."""
    path, home = Path(text), os.environ.get(Env.HOME)
    return Path(home) / path if home and not path.exists() and (Path(home) / path).exists() else path


def _add_tokens(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--max_seq_len", type=_whole(_SHORTEST, MAX_POSITIONS), help="longest row in tokens (default: the type's)"
    )
    parser.add_argument("--tokenizer_path", help="tokenizer folder (default: the one that ships)")


def _whole(least: int, most: int = 10**12) -> Callable[[str], int]:
    def number(text: str) -> int:
        value = int(text)
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"use {least:,} to {most:,}, got {value:,}")
        return value

    return number


def _check(options: argparse.Namespace) -> int:
    progress = Progress(options.json)
    found = check_rows(options.path, _format(options), each=lambda data, row: progress(row.done, data.bytes))
    progress.end()
    if found.rows + found.bad == 0:
        raise found.errors[0]
    files = [dataclasses.asdict(file) for file in found.files]
    if options.json:
        errors = [{"message": error.message, "hint": error.hint} for error in found.errors]
        about = {"path": str(options.path), "format": found.format, "rows": found.rows, "bad_rows": found.bad}
        _print(about | {"files": files, "errors": errors, "notices": found.notices})
    else:
        good = f"{found.rows:,} good row{'' if found.rows == 1 else 's'}"
        print(f"{options.path}: format {found.format}, {good}, {found.bad:,} bad")
        lines = files_text(files) + [f"  {notice}" for notice in found.notices]
        lines += [f"  {error.message} {error.hint}".rstrip() for error in found.errors]
        more = found.bad - len(found.errors)
        print("".join(f"{line}\n" for line in [*lines, *([f"  … and {more:,} more"] if more > 0 else [])]), end="")
    return ExitCode.BAD_INPUT if found.errors else ExitCode.FINISHED


def _stats(options: argparse.Namespace) -> int:
    name = _format(options)
    from trainer.data_stats import data_stats  # takes seconds, which a check should not
    from trainer.tokenization import load_tokenizer

    progress = Progress(options.json)
    tokenizer = load_tokenizer(options.tokenizer_path)
    try:
        found = data_stats(options.path, name, tokenizer, _length(options, name), progress)
    finally:
        progress.end()
    _print(found) if options.json else print(stats_text(found))
    return ExitCode.FINISHED


def _preview(options: argparse.Namespace) -> int:
    name = _format(options)
    from trainer.data_preview import preview
    from trainer.tokenization import load_tokenizer

    tokenizer = load_tokenizer(options.tokenizer_path)
    found = preview(options.path, name, tokenizer, _length(options, name), options.start, options.rows)
    _print(found) if options.json else print(preview_text(found))
    return ExitCode.FINISHED


def _print(found: dict[str, Any]) -> None:
    print(json.dumps(found, ensure_ascii=False))


def _length(options: argparse.Namespace, format: str) -> int:  # noqa: A002
    """max_seq_len as given, or the default of the training type, or of the first type that reads such data."""
    if options.max_seq_len:
        return options.max_seq_len
    alike = [cls for cls in TRAINING_TYPES.values() if cls.data_format == format]
    cls = TRAINING_TYPES.get(options.type) or next(iter(alike), TrainConfig)
    return cls.model_fields["max_seq_len"].default


def _format(options: argparse.Namespace) -> str:
    """The format that was named, or that the rows look like.

    Raises:
        DataError: there is no telling.
    """
    if options.type:
        return TRAINING_TYPES[options.type].data_format if options.type in TRAINING_TYPES else TYPES[options.type]
    found = detect_formats(open_data(options.path))
    kinds = set(found.values())
    if len(kinds) == 1 and "" not in kinds:
        return kinds.pop()
    if len(kinds) > 1:
        examples = {kind: name for name, kind in reversed(found.items())}
        told = ", ".join(f"{name} is {kind or 'none of them'}" for kind, name in sorted(examples.items()))
        raise DataError(f"The files of {options.path} are of several formats: {told}.", _HOW_TO_CHOOSE)

    def refuse(_place: Place, error: DataError) -> NoReturn:
        raise DataError(f"{options.path} is in no format that we know. {error.message}", _HOW_TO_CHOOSE)

    next(RowReader(options.path, "pretrain").rows(refuse))
    return "pretrain"  # only later rows are others; they will be told
