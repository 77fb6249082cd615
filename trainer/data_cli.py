"""Data on the command line: sample files, looking into data sets, a new tokenizer.

python -m trainer.data_cli sample dataset/samples
python -m trainer.data_cli check dataset/sft.jsonl
python -m trainer.data_cli stats dataset/wiki --max_seq_len 512
python -m trainer.data_cli preview dataset/sft.jsonl --rows 3
python -m trainer.data_cli tokenizer train dataset/pretrain.jsonl --out dataset/my_tokenizer
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from trainer.commands import run_command
from trainer.hub_cli import add_fetch
from trainer.inspect_cli import add_check, add_preview, add_stats
from trainer.names import ExitCode
from trainer.samples import ROWS, generate


def add_sample(parser: argparse.ArgumentParser) -> Callable[[argparse.Namespace], int]:
    """Give a parser the options of `sample`; returns what runs it."""
    parser.add_argument("folder", type=Path, help="where the files go; files of the same name are replaced")
    parser.add_argument("--seed", type=int, default=42, help="another seed gives other rows (default 42)")
    parser.add_argument("--rows", type=int, default=ROWS, help=f"rows of pretrain.jsonl (default {ROWS})")
    return _sample


def _sample(options: argparse.Namespace) -> int:
    for path in generate(options.folder, options.seed, options.rows):
        print(f"{path}  {path.stat().st_size / 1024:,.0f} KB")
    return ExitCode.FINISHED


def add_tokenizer(parser: argparse.ArgumentParser) -> Callable[[argparse.Namespace], int]:
    """Give a parser the options of `tokenizer train`; returns what runs it."""
    commands = parser.add_subparsers(dest="tokenizer_command", required=True, metavar="train")
    train = commands.add_parser("train", help="train a byte-level BPE tokenizer on data files")
    train.add_argument(
        "files", nargs="+", type=Path, help="data files of any format, or plain text; name one twice to weigh it"
    )
    train.add_argument("--out", required=True, type=Path, help="folder for the tokenizer; must not have one yet")
    train.add_argument("--vocab_size", type=int, default=6400, help="entries, marks and bytes included (default 6400)")
    return _train_tokenizer


def _train_tokenizer(options: argparse.Namespace) -> int:
    from trainer.tokenization import train_tokenizer  # takes seconds, which the other commands should not

    print(f"{train_tokenizer(options.files, options.out, options.vocab_size)}: {options.vocab_size:,} entries")
    return ExitCode.FINISHED


COMMANDS = {
    "sample": ("write sample data in every format", add_sample),
    "check": ("read a data set and show its first bad lines", add_check),
    "stats": ("count tokens, what is cut, what carries loss and what is twice", add_stats),
    "preview": ("show rows as a training sees them", add_preview),
    "tokenizer": ("train a tokenizer", add_tokenizer),
    "fetch": ("bring MiniMind's published data, weights and tokenizers", add_fetch),
}
"""Name, help, and the function that adds the options; for other command lines that offer the same."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m trainer.data_cli", description="Data for MiniMind Platform.")
    try:
        return run_command(parser, COMMANDS, argv)
    except BrokenPipeError:  # the reader has seen enough: `… stats FILE | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.FINISHED


if __name__ == "__main__":
    sys.exit(main())
