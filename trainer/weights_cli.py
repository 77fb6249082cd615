"""Weights on the command line: adapters merged into their base.

python -m trainer.weights_cli merge --lora out/ab12/checkpoints/step_000200 --out dataset/merged
python -m trainer.weights_cli merge --base out/full_sft_768.pth --lora out/lora/lora_identity_768.pth --out merged
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from trainer.base_sizes import sidecar
from trainer.commands import run_command
from trainer.errors import BaseModelError
from trainer.names import Env, ExitCode


def add_merge(parser: argparse.ArgumentParser) -> Callable[[argparse.Namespace], int]:
    """Give a parser the options of `merge`; returns what runs it."""
    names = "folder, .pth file or models:/name/version"
    parser.add_argument("--lora", required=True, metavar="ADAPTERS", help=f"adapters, of MiniMind too: {names}")
    parser.add_argument("--base", metavar="WEIGHTS", help=f"{names} [what the adapters note of their base]")
    parser.add_argument("--out", required=True, type=Path, metavar="FOLDER", help="new Hugging Face folder")
    parser.add_argument("--pth", type=Path, metavar="FILE", help="also write a MiniMind weight file")
    parser.add_argument("--tokenizer", metavar="FOLDER", help="tokenizer of the base, where that does not bring one")
    parser.add_argument("--heads", type=int, default=8, help="attention heads; a MiniMind v2 file does not tell [8]")
    return _merge


def _merge(options: argparse.Namespace) -> int:
    from trainer.merge import merge  # torch is loaded here, not for --help

    if options.out.exists():
        raise BaseModelError(f"{options.out} exists already.", "Name another folder for --out.")
    for file in (options.pth, sidecar(options.pth)) if options.pth else ():
        if file.exists():
            raise BaseModelError(f"{file} exists already.", "Name another file for --pth.")
    home = Path(os.environ.get(Env.HOME) or Path.cwd())
    count = merge(options.lora, options.base, options.out, home / "out", options.tokenizer, options.heads, options.pth)
    written = f"{options.out} and {options.pth}" if options.pth else str(options.out)
    print(f"Merged {count} adapters of {options.lora} into their base: {written}.")
    return ExitCode.FINISHED


COMMANDS = {"merge": ("merge adapters into their base weights", add_merge)}
"""Name, help, and the function that adds the options."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m trainer.weights_cli", description="Weights of MiniMind Platform.")
    try:
        return run_command(parser, COMMANDS, argv, allow_abbrev=False)
    except OSError as error:
        print(f"The model cannot be written: {error}. Free some space, or name another place.", file=sys.stderr)
        return ExitCode.FAILED


if __name__ == "__main__":
    sys.exit(main())
