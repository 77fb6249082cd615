"""The command line, `minimind`. Every command is a thin door to `Platform`; what is heavy is imported when it is used.

minimind up
minimind submit pretrain --data_path dataset/samples/pretrain.jsonl --preset tiny
minimind tasks --state RUNNING --json
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from minimind_platform.service import Platform

BAD_INPUT = 2
FAILED = 1
INTERRUPTED = 130


def main(argv: Sequence[str] | None = None, platform: "Platform | None" = None) -> int:
    """Run one command; the exit code is 0, 1 for a failure, 2 for bad input.

    Args:
        argv: arguments without the program's name; those of this process when left out.
        platform: what to work on; the one of `--home` when left out.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    arguments, rest = _parser(words).parse_known_args(words)
    if rest and not getattr(arguments, "takes_rest", False):
        _parser(words).error(f"unknown arguments: {' '.join(rest)}")
    arguments.rest = rest
    return _guarded(lambda: arguments.run(arguments, platform))


def _guarded(run: Callable[[], int]) -> int:
    """Tell every error that we know in one or two sentences, without a traceback."""
    from minimind_platform.errors import PathError, PlatformError, SettingsError, TrainerError

    try:
        return run()
    except SettingsError as error:
        for problem in error.problems:
            print(problem, file=sys.stderr)
        return BAD_INPUT
    except (PlatformError, TrainerError) as error:
        print(f"{error.message} {error.hint}".strip(), file=sys.stderr)
        return BAD_INPUT if isinstance(error, PathError) else FAILED
    except BrokenPipeError:  # the reader has seen enough: `minimind tasks | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return INTERRUPTED


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "minimind",
        description="Train, watch and compare small language models.",
        epilog="`minimind COMMAND --help` tells the options of a command.",
        allow_abbrev=False,
    )
    parser.add_argument("--home", help="folder with dataset/, mlruns/ and out/ [MINIMIND_HOME, else the current one]")
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--home", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def command(name: str, text: str, run: Callable[..., int], **more: Any) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text, parents=[shared], allow_abbrev=False, **more)
        added.set_defaults(run=run)
        return added

    _add_servers(command)
    _add_tasks(command, words)
    _add_tools(command)
    return parser


def _add_servers(command: Callable[..., argparse.ArgumentParser]) -> None:
    up = command("up", "Start the web app, the scheduler and the tracking server; Ctrl-C stops them.", _up)
    up.add_argument("--demo", action="store_true", help="submit a small training to look at")
    up.add_argument("--host", help="address of the web app; only this machine's own [127.0.0.1]")
    up.add_argument("--port", type=int, help="port of the web app [8050]")
    up.add_argument("--tracking-port", type=int, help="port of the tracking server [5000]")
    from minimind_platform import cli_backup

    cli_backup.add_commands(command)
    doctor = command("doctor", "Check this installation and say what to do about what is wrong.", _doctor)
    doctor.add_argument("--json", action="store_true", help="print JSON")


def _add_tasks(command: Callable[..., argparse.ArgumentParser], words: Sequence[str]) -> None:
    from minimind_platform import cli_tasks as tasks

    submit = command("submit", "Queue a training.", tasks.submit)
    tasks.add_submit_options(submit, words)
    clone = command("clone", "Queue a new task with the settings of another, some changed: --FIELD VALUE.", tasks.clone)
    clone.add_argument("id", help="task to start from")
    clone.add_argument("--name", default="", help="name of the new task [that of the other]")
    clone.add_argument("--priority", type=int, help="higher goes first [that of the other]")
    clone.add_argument("--json", action="store_true", help="print the task as JSON")
    clone.set_defaults(takes_rest=True)

    listing = command("tasks", "List tasks, newest first unless sorted otherwise.", tasks.tasks)
    listing.add_argument("words", nargs="*", help="words in name, id, type or data path")
    listing.add_argument("--state", default="", help="only these, such as RUNNING or QUEUED,FAILED")
    listing.add_argument("--type", default="", help="only these training types")
    listing.add_argument("--deleted", action="store_true", help="the deleted ones instead")
    listing.add_argument("--archived", action="store_true", help="the archived ones instead")
    listing.add_argument("--no-trials", action="store_true", help="without trials of sweeps")
    listing.add_argument("--sweep", default="", metavar="ID", help="only trials of this sweep")
    sorts = ("created", "started", "duration", "name", "state", "type", "progress", "loss", "priority", "turn")
    listing.add_argument("--sort", choices=sorts, default="created", help="what to sort by [created]")
    listing.add_argument("--ascending", action="store_true", help="the smallest or oldest first")
    listing.add_argument("--limit", type=int, default=50, help="at most so many [50]")
    listing.add_argument("--json", action="store_true", help="print JSON")

    show = command("show", "Show one task: state, progress, settings, history and checkpoints.", tasks.show)
    show.add_argument("id", help="task id, or the begin of it")
    show.add_argument("--json", action="store_true", help="print JSON")

    logs = command("logs", "Print the log of a task.", tasks.logs)
    logs.add_argument("id", help="task id, or the begin of it")
    logs.add_argument("-f", "--follow", action="store_true", help="go on until the task ends")
    logs.add_argument("-n", "--lines", type=int, default=200, help="last lines to begin with; 0 for all [200]")

    from minimind_platform import cli_samples

    cli_samples.add_options(
        command("samples", "Print what a model answered while it was trained.", cli_samples.samples)
    )

    for name, text in tasks.ACTIONS.items():
        action = command(name, text, tasks.act)
        action.add_argument("ids", nargs="+", metavar="ID", help="task id, or the begin of it")
        if name == "resume":
            action.add_argument("--force", action="store_true", help="even if the data has changed since")
        action.set_defaults(action=name)

    sync = command("sync", "Send to MLflow now what it does not have yet of ended tasks.", tasks.sync)
    sync.add_argument("ids", nargs="+", metavar="ID", help="task id, or the begin of it")

    order = command("priority", "Change the priority of a queued task, or its place in the queue.", tasks.priority)
    order.add_argument("id", help="task id, or the begin of it")
    order.add_argument("value", metavar="N", help="higher goes first; or first, up, down, last")

    from minimind_platform import cli_sweeps

    cli_sweeps.add_commands(command, words)

    models = command("models", "List model versions, newest first.", tasks.models)
    models.add_argument("--json", action="store_true", help="print JSON")


def _add_tools(command: Callable[..., argparse.ArgumentParser]) -> None:
    from minimind_platform import cli_jobs, cli_trash

    cli_trash.add_options(command("trash", "What was deleted: list, restore, purge, empty.", cli_trash.trash))
    cli_jobs.add_options(command("jobs", "List downloads and statistics that run in the background.", cli_jobs.jobs))
    for name, text in (
        (
            "data",
            "Data: `data check PATH`, `data stats PATH`, `data preview PATH`, `data fetch`, `data sample FOLDER`.",
        ),
        ("tokenizer", "Train a tokenizer: `tokenizer train FILE… --out FOLDER`."),
    ):
        tool = command(name, text, _tool)
        tool.add_argument("words", nargs=argparse.REMAINDER, help="what to do")
        tool.set_defaults(tool=name)
    merge = "Merge LoRA adapters into their base: `merge --lora ADAPTERS --out FOLDER`; `merge --help` tells more."
    command("merge", merge, _merge, add_help=False).set_defaults(takes_rest=True)


def _up(arguments: argparse.Namespace, _platform: "Platform | None") -> int:
    from minimind_platform.settings import Settings
    from minimind_platform.supervisor import run

    given = {name: getattr(arguments, name) for name in ("home", "host", "port", "tracking_port")}
    return run(Settings.load(**given), arguments.demo)


def _doctor(arguments: argparse.Namespace, _platform: "Platform | None") -> int:
    from minimind_platform.doctor import run

    return run(arguments.home, arguments.json)


def _tool(arguments: argparse.Namespace, _platform: "Platform | None") -> int:
    """Run a tool of the trainer in a process of its own, so that what it loads stays out of this one."""
    import subprocess

    words = ["tokenizer", *arguments.words] if arguments.tool == "tokenizer" else arguments.words
    home = {"MINIMIND_HOME": arguments.home} if arguments.home else {}
    return subprocess.call([sys.executable, "-m", "trainer.data_cli", *words], env=os.environ | home)


def _merge(arguments: argparse.Namespace, _platform: "Platform | None") -> int:
    """The trainer's own command, in a process of its own; it finds registered models by what is set here."""
    import subprocess

    from minimind_platform.home import as_running
    from minimind_platform.settings import Settings

    settings = as_running(Settings.load(home=arguments.home))
    found = {"MINIMIND_HOME": str(settings.home), "MLFLOW_TRACKING_URI": settings.tracking}
    return subprocess.call(
        [sys.executable, "-m", "trainer.weights_cli", "merge", *arguments.rest], env=os.environ | found
    )


if __name__ == "__main__":
    sys.exit(main())
