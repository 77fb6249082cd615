"""Commands about tasks and models: submit, clone, tasks, show, logs, priority, models, and those of `ACTIONS`.

submit(arguments, platform)      # each takes the parsed arguments and gives the exit code
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, cast

from minimind_platform import cli_text, tables
from minimind_platform.attempts import attempts_of
from minimind_platform.errors import PlatformError, Problem, SettingsError, TrackingUnavailableError, TrainerError
from minimind_platform.tasks import State, Task

if TYPE_CHECKING:
    from minimind_platform.service import Platform
    from minimind_platform.task_queue import Place

ACTIONS = {
    "stop": "Stop tasks; a running one saves a checkpoint first.",
    "resume": "Let stopped or failed tasks go on from their newest checkpoint.",
    "retry": "Queue new tasks with the same settings.",
    "delete": "Put ended tasks into the trash; `restore` brings them back, `trash` removes them for good.",
    "restore": "Bring deleted tasks back.",
    "archive": "Put ended tasks away from the usual lists; `unarchive` brings them back.",
    "unarchive": "Bring archived tasks back into the usual lists.",
}
DONE = {
    "stop": "stops",
    "resume": "is queued again",
    "retry": "is queued",
    "delete": "is deleted",
    "restore": "is back",
    "archive": "is archived",
    "unarchive": "is in the lists again",
}
FOLLOW_SECONDS = 0.5
PLACES = ("first", "up", "down", "last")


def add_submit_options(parser: argparse.ArgumentParser, words: Sequence[str]) -> None:
    """Options of `submit`. Those of each training type are added only when it is this command that was called."""
    if "submit" not in words:
        return
    from minimind_platform.cli_fields import add_fields
    from trainer.configs import TRAINING_TYPES, TYPE_ALIASES
    from trainer.fields import config_fields
    from trainer.presets import PRESETS
    from trainer.starts import starts_of

    types = parser.add_subparsers(title="training types", metavar="TYPE", required=True)
    for name, cls in TRAINING_TYPES.items():
        aliases = [alias for alias, meant in TYPE_ALIASES.items() if meant == name]
        text = (cls.__doc__ or "").strip()
        usage = f"minimind submit {name} --FIELD VALUE … [options]"
        added = types.add_parser(name, aliases=aliases, help=text, description=text, usage=usage, allow_abbrev=False)
        added.set_defaults(type=name)
        added.add_argument("--home", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
        added.add_argument(
            "--preset", choices=list(PRESETS), help="model size to start from; other options win over it"
        )
        if starts := starts_of(name):
            added.add_argument(
                "--start", choices=list(starts), help="values to start from; other options win over them"
            )
        added.add_argument("--name", default="", help="name of the task [type and size]")
        added.add_argument("--priority", type=int, default=0, help="higher goes first [0]")
        added.add_argument("--key", default="", help="the same key gives the same task, however often it is sent")
        added.add_argument("--check", action="store_true", help="only check, and say what it would take")
        added.add_argument("--json", action="store_true", help="print JSON")
        add_fields(added, config_fields(cls))


def submit(arguments: argparse.Namespace, platform: "Platform | None") -> int:
    """Queue a training, or only check it."""
    from minimind_platform.cli_fields import given_values

    platform = platform or open_platform(arguments)
    values = given_values(arguments)
    if arguments.check:
        return _check(platform, arguments, values)
    task = platform.submit(arguments.type, values, name=arguments.name, priority=arguments.priority, key=arguments.key)
    return _submitted(platform, task, arguments.json)


def clone(arguments: argparse.Namespace, platform: "Platform | None") -> int:
    """Queue a new task with some settings changed."""
    from minimind_platform.cli_fields import add_fields, field_values
    from trainer.configs import config_class
    from trainer.fields import config_fields

    platform = platform or open_platform(arguments)
    task = platform.task(arguments.id)
    parser = argparse.ArgumentParser(f"minimind clone {arguments.id}", allow_abbrev=False)
    add_fields(parser, config_fields(config_class(task.type)))
    changes = field_values(parser.parse_args(arguments.rest))
    priority = task.priority if arguments.priority is None else arguments.priority
    name = arguments.name or task.name
    new = platform.submit(task.type, task.config | changes, name=name, priority=priority, parent_id=task.id)
    return _submitted(platform, new, arguments.json)


def tasks(arguments: argparse.Namespace, platform: "Platform | None") -> int:
    """List tasks."""
    platform = platform or open_platform(arguments)
    page = platform.tasks(
        states=_states(arguments.state),
        types=_parts(arguments.type),
        words=" ".join(arguments.words),
        deleted=arguments.deleted,
        archived=arguments.archived,
        trials=not arguments.no_trials,
        sweep_id=arguments.sweep,
        sort=arguments.sort,
        descending=not arguments.ascending,
        limit=arguments.limit,
    )
    if arguments.json:
        listed = [cli_text.as_json(task) for task in page.tasks]
        return _print_json({"total": page.total, "counts": page.counts, "tasks": listed})
    if not page.tasks:
        print("No tasks.")
        return 0
    print(tables.table(cli_text.TASK_HEADS, map(cli_text.task_row, page.tasks)))
    if page.total > len(page.tasks):
        print(f"… and {page.total - len(page.tasks)} more; see --limit.")
    return 0


def show(arguments: argparse.Namespace, platform: "Platform | None") -> int:
    """Show one task."""
    platform = platform or open_platform(arguments)
    task = platform.task(arguments.id)
    events = platform.events(task.id)
    try:
        versions, away = platform.checkpoints(task.id), ""
    except TrackingUnavailableError as error:
        versions, away = [], error.message
    if arguments.json:
        history = [asdict(event) for event in events]
        tried = [asdict(attempt) for attempt in attempts_of(events)]
        return _print_json(
            cli_text.as_json(task)
            | {"events": history, "attempts": tried, "checkpoints": [asdict(v) for v in versions]}
        )
    place = platform.queue.place_of(task.id) if task.state is State.QUEUED else 0
    unsent = platform.sending.unsent(task) if task.unsynced else 0
    for label, text in cli_text.facts(task, place, unsent):
        print(f"{label:<12} {text}")
    print("\nSettings")
    print(cli_text.indented([[name, cli_text.setting(name, value)] for name, value in task.config.items()]))
    if len(attempts := attempts_of(events)) > 1:
        print("\nAttempts")
        print(cli_text.indented([cli_text.attempt_row(attempt) for attempt in attempts]))
    print("\nHistory")
    print(cli_text.indented([[tables.moment(e.at), e.after, e.reason] for e in events]))
    print("\nCheckpoints")
    print(cli_text.indented([cli_text.checkpoint_row(v) for v in versions]) if versions else f"  {away or 'none yet'}")
    return 0


def logs(arguments: argparse.Namespace, platform: "Platform | None") -> int:
    """Print a log, and what is added to it."""
    from minimind_platform.logs import LIMIT

    platform = platform or open_platform(arguments)
    task = platform.task(arguments.id)
    chunk = platform.log(task.id, -1 if arguments.lines else 0, LIMIT)
    lines = chunk.text.splitlines(keepends=True)
    sys.stdout.write("".join(lines[-arguments.lines :] if arguments.lines else lines))
    while True:
        ended = platform.task(task.id).ended  # asked before the log, so that its last lines are not missed
        chunk = platform.log(task.id, chunk.end, LIMIT)
        if chunk.reset:
            sys.stdout.write("… the log was shortened …\n")
        sys.stdout.write(chunk.text)
        sys.stdout.flush()
        if not chunk.text and (ended or not arguments.follow):
            return 0
        if not chunk.text:
            time.sleep(FOLLOW_SECONDS)


def act(arguments: argparse.Namespace, platform: "Platform | None") -> int:
    """Stop, resume, retry, delete or restore; one that fails does not keep the others from it."""
    platform = platform or open_platform(arguments)
    failed = 0
    for id in arguments.ids:  # noqa: A001
        try:
            more = {"force": True} if getattr(arguments, "force", False) else {}
            task = getattr(platform, arguments.action)(id, **more)
        except (PlatformError, TrainerError) as error:
            failed += 1
            print(f"{id}: {error.message} {error.hint}".strip(), file=sys.stderr)
            continue
        done = "is stopped" if arguments.action == "stop" and task.ended else DONE[arguments.action]
        print(f"{task.id[: cli_text.SHORT]} {task.name} {done}.")
    return 1 if failed else 0


def priority(arguments: argparse.Namespace, platform: "Platform | None") -> int:
    """Change the priority of a queued task, or its place in the queue."""
    platform = platform or open_platform(arguments)
    value: str = arguments.value
    if value in PLACES:
        task = platform.queue.place(arguments.id, cast("Place", value))
    elif value.removeprefix("-").isdecimal():
        task = platform.queue.set_priority(arguments.id, int(value))
    else:
        message = f"Use a whole number or one of {', '.join(PLACES)}, got {value!r}."
        raise SettingsError([Problem("priority", "bad_place", message, {"value": value})])
    place = platform.queue.place_of(task.id)
    print(f"{task.id[: cli_text.SHORT]} {task.name} has priority {task.priority} and place {place} in the queue.")
    return 0


def sync(arguments: argparse.Namespace, platform: "Platform | None") -> int:
    """Send to MLflow what it does not have of ended tasks. The scheduler does so too, when it comes to it."""
    platform = platform or open_platform(arguments)
    failed = 0
    for id in arguments.ids:  # noqa: A001
        try:
            task = platform.task(id)
            count = platform.sending.send(task)
        except PlatformError as error:
            failed += 1
            print(f"{id}: {error.message} {error.hint}".strip(), file=sys.stderr)
            continue
        print(f"{task.id[: cli_text.SHORT]} {task.name} is in MLflow; {count:,} numbers were sent.")
    return 1 if failed else 0


def models(arguments: argparse.Namespace, platform: "Platform | None") -> int:
    """List model versions."""
    platform = platform or open_platform(arguments)
    versions = platform.models()
    if arguments.json:
        return _print_json([asdict(version) for version in versions])
    if not versions:
        print("No models yet; a training makes one with its first checkpoint.")
        return 0
    print(tables.table(cli_text.MODEL_HEADS, map(cli_text.model_row, versions)))
    return 0


def open_platform(arguments: argparse.Namespace) -> "Platform":
    """The platform of `--home`."""
    from minimind_platform.home import as_running
    from minimind_platform.service import Platform
    from minimind_platform.settings import Settings

    settings = as_running(Settings.load(home=arguments.home))
    if not settings.mlruns_dir.is_dir():
        raise PlatformError(
            f"There is no MiniMind Platform in {settings.home}.",
            "Start it there with `minimind up`, or name its folder with --home or MINIMIND_HOME.",
        )
    return Platform(settings)


def _check(platform: "Platform", arguments: argparse.Namespace, values: dict[str, Any]) -> int:
    check = platform.check(arguments.type, values)
    if arguments.json:
        _print_json(asdict(check))
        return 2 if check.problems else 0
    if check.preflight:
        print(cli_text.takes(check.preflight))
    for item in check.advice:
        print(f"Note: {item}")
    if check.problems:
        raise SettingsError(check.problems)
    return 0


def _submitted(platform: "Platform", task: Task, as_json: bool) -> int:
    if not platform.scheduler_alive():
        print("The scheduler is not running; the task waits until `minimind up` is started.", file=sys.stderr)
    if as_json:
        return _print_json(cli_text.as_json(task))
    short = task.id[: cli_text.SHORT]
    print(f"Task {short} {task.name} is {task.state.lower()}. Follow it: minimind logs -f {short}")
    return 0


def _states(text: str) -> list[State]:
    parts = [part.upper() for part in _parts(text)]
    if unknown := [part for part in parts if part not in State.__members__]:
        message = f"There is no state {', '.join(unknown)}; choose from {', '.join(State.__members__)}."
        raise SettingsError([Problem("state", "unknown_state", message, {"value": text})])
    return [State(part) for part in parts]


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _print_json(value: Any) -> int:
    print(json.dumps(value, ensure_ascii=False, indent=2))
    return 0
