"""Command lines that are made of a table of commands: what the small tools of the trainer have in common.

COMMANDS = {"merge": ("merge adapters into their base weights", add_merge)}
run_command(argparse.ArgumentParser(prog="python -m trainer.weights_cli"), COMMANDS, argv)
"""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence

from trainer.errors import TrainerError
from trainer.names import ExitCode

Command = tuple[str, Callable[[argparse.ArgumentParser], Callable[[argparse.Namespace], int]]]
"""Help, and the function that adds the options and returns what runs them."""


def run_command(
    parser: argparse.ArgumentParser,
    commands: Mapping[str, Command],
    argv: Sequence[str] | None,
    allow_abbrev: bool = True,
) -> int:
    """Run the command that the arguments name, and return its exit code; what goes wrong is told in a sentence.

    Args:
        parser: for the tool as a whole.
        commands: by name.
        argv: the arguments; None for those of this process.
        allow_abbrev: whether options may be shortened.
    """
    added = parser.add_subparsers(required=True, metavar="{" + ",".join(commands) + "}")
    for name, (text, add) in commands.items():
        command = added.add_parser(name, help=text, description=text.capitalize() + ".", allow_abbrev=allow_abbrev)
        command.set_defaults(run=add(command))
    options = parser.parse_args(argv)
    try:
        return options.run(options)
    except TrainerError as error:
        print(f"{error.message} {error.hint}".rstrip(), file=sys.stderr)
        return ExitCode.BAD_INPUT
