"""Commands about sweeps: sweep, sweeps, sweep-show, and what changes their course.

sweep(arguments, platform)      # each takes the parsed arguments and gives the exit code
"""

import argparse
import json
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from minimind_platform import cli_sweep_text as shown
from minimind_platform import tables
from minimind_platform.cli_tasks import open_platform
from minimind_platform.cli_text import SHORT, as_json, takes
from minimind_platform.errors import PlatformError, SettingsError, TrainerError

if TYPE_CHECKING:
    from minimind_platform.service import Platform
    from minimind_platform.sweeps.views import Sweep

ACTIONS = {
    "stop": ("Stop sweeps; trials that run save a checkpoint first.", "stops"),
    "resume": ("Let stopped or paused sweeps go on.", "goes on"),
    "delete": ("Hide sweeps with their trials; `sweep-restore` brings them back.", "is deleted"),
    "restore": ("Bring deleted sweeps back.", "is back"),
}
OPTION = "option."
"""Before the name of an option of a sweep, among the arguments."""
HIDDEN = "trial_"
"""Before a setting of the trainings whose name an option of a sweep has."""


def add_commands(command: Callable[..., argparse.ArgumentParser], words: Sequence[str]) -> None:
    """All commands about sweeps. The options of `sweep` are added only when it is this one that was called."""
    begin = command("sweep", "Search settings: many trainings, each a task.", sweep)
    if "sweep" in words:
        _add_types(begin)
    listing = command("sweeps", "List sweeps, newest first.", sweeps)
    listing.add_argument("words", nargs="*", help="words in name, id or type")
    listing.add_argument("--state", default="", help="only these, such as RUNNING or PAUSED,STOPPED")
    listing.add_argument("--deleted", action="store_true", help="the deleted ones instead")
    listing.add_argument("--limit", type=int, default=50, help="at most so many [50]")
    listing.add_argument("--json", action="store_true", help="print JSON")
    show = command("sweep-show", "Show one sweep: state, best trial and all trials.", sweep_show)
    _add_id(show)
    show.add_argument("-f", "--follow", action="store_true", help="then print trials as they end, until it has ended")
    show.add_argument("--json", action="store_true", help="print JSON")
    for name, (text, _) in ACTIONS.items():
        action = command(f"sweep-{name}", text, act)
        action.add_argument("ids", nargs="+", metavar="ID", help="sweep id, the begin of it, or name")
        action.set_defaults(action=name)
    extend = command("sweep-extend", "Let a sweep make more trials; one that has finished goes on.", sweep_extend)
    _add_id(extend)
    extend.add_argument("--n-trials", "--n_trials", dest="n_trials", help="trials more")
    extend.add_argument("--hours", help="hours more")
    extend.add_argument("--device-hours", "--device_hours", dest="device_hours", help="hours on devices more")
    extend.add_argument("--parallel", help="trials at the same time, from now on")
    exclude = command("sweep-exclude", "Let trials count no more for the best, nor for what is chosen.", sweep_exclude)
    _add_id(exclude)
    exclude.add_argument("trials", nargs="+", type=int, metavar="TRIAL", help="numbers of trials")
    exclude.add_argument("--undo", action="store_true", help="let them count again")
    for name, text, run in (
        ("sweep-add", "Have a trial made with settings that you choose: --FIELD VALUE.", sweep_add),
        ("sweep-promote", "Train with the settings of the best trial, or of TRIAL, in full: --FIELD VALUE.", promote),
    ):
        added = command(name, text, run)
        _add_id(added)
        more = f"what differs; `minimind {name} ID --help` tells what can"
        added.add_argument("rest_words", nargs=argparse.REMAINDER, metavar="…", help=more)


def sweep(arguments: argparse.Namespace, platform: "Platform | None") -> int:
    """Begin a sweep, or only check it."""
    from minimind_platform.cli_fields import given_values
    from minimind_platform.cli_search import read_search

    platform = platform or open_platform(arguments)
    values = given_values(arguments)
    options = {k.removeprefix(OPTION): v for k, v in vars(arguments).items() if k.startswith(OPTION)}
    objectives = shown.read_objectives(arguments.metric, arguments.direction)
    with _as_options():
        search = read_search(arguments.type, arguments.search)
        if arguments.dry_run:
            return _dry_run(platform, arguments, (arguments.type, values, search, options, objectives))
        given = {"name": arguments.name, "key": arguments.key, "options": options, "objectives": objectives}
        made = platform.sweeps.create(arguments.type, values, search, **given)
    if not platform.scheduler_alive():
        print("The scheduler is not running; the sweep waits until `minimind up` is started.", file=sys.stderr)
    if arguments.json:
        return _print_json(shown.sweep_json(made))
    print(f"Sweep {made.id[:SHORT]} {made.name} runs. Look at it: minimind sweep-show {made.id[:SHORT]}", flush=True)
    return _follow(platform, made) if arguments.follow else 0


def sweeps(arguments: argparse.Namespace, platform: "Platform | None") -> int:
    """List sweeps."""
    platform = platform or open_platform(arguments)
    states = shown.read_states(arguments.state)
    words = " ".join(arguments.words)
    page = platform.sweeps.page(words=words, states=states, deleted=arguments.deleted, limit=arguments.limit)
    if arguments.json:
        return _print_json({"total": page.total, "sweeps": [shown.sweep_json(one) for one in page.sweeps]})
    if not page.sweeps:
        print("No sweeps.")
        return 0
    print(tables.table(shown.SWEEP_HEADS, map(shown.sweep_row, page.sweeps)))
    if page.total > len(page.sweeps):
        print(f"… and {page.total - len(page.sweeps)} more; see --limit.")
    return 0


def sweep_show(arguments: argparse.Namespace, platform: "Platform | None") -> int:
    """Show one sweep."""
    platform = platform or open_platform(arguments)
    found = platform.sweeps.get(arguments.id)
    trials = platform.sweeps.trials(found.id)
    if arguments.json:
        return _print_json(shown.sweep_json(found) | {"trials": [asdict(trial) for trial in trials]})
    print(shown.in_full(found, trials), flush=True)
    return _follow(platform, found, {trial.number for trial in trials if trial.ended_at}) if arguments.follow else 0


def act(arguments: argparse.Namespace, platform: "Platform | None") -> int:
    """Stop, resume, delete or restore; one that fails does not keep the others from it."""
    platform = platform or open_platform(arguments)
    failed = 0
    for id in arguments.ids:  # noqa: A001
        try:
            found = getattr(platform.sweeps, arguments.action)(id)
        except (PlatformError, TrainerError) as error:
            failed += 1
            print(f"{id}: {error.message} {error.hint}".strip(), file=sys.stderr)
            continue
        print(f"{found.id[:SHORT]} {found.name} {ACTIONS[arguments.action][1]}.")
    return 1 if failed else 0


def sweep_extend(arguments: argparse.Namespace, platform: "Platform | None") -> int:
    """Make more trials."""
    platform = platform or open_platform(arguments)
    names = ("n_trials", "hours", "device_hours", "parallel")
    found = platform.sweeps.extend(arguments.id, **{n: v for n in names if (v := getattr(arguments, n)) is not None})
    print(f"{found.id[:SHORT]} {found.name} makes {found.spec.n_trials} trials, {found.spec.parallel} at a time.")
    return 0


def sweep_exclude(arguments: argparse.Namespace, platform: "Platform | None") -> int:
    """Let trials count no more, or again."""
    platform = platform or open_platform(arguments)
    for number in arguments.trials:
        platform.sweeps.exclude(arguments.id, number, not arguments.undo)
        print(f"Trial {number} {'counts again' if arguments.undo else 'does not count any more'}.")
    return 0


def sweep_add(arguments: argparse.Namespace, platform: "Platform | None") -> int:
    """Have a trial made."""
    from minimind_platform.cli_fields import add_fields, field_values
    from trainer.configs import config_class
    from trainer.fields import config_fields

    platform = platform or open_platform(_with_home(arguments))
    found = platform.sweeps.get(arguments.id)
    parser = argparse.ArgumentParser(f"minimind sweep-add {arguments.id}", allow_abbrev=False)
    searched = {param.name for param in found.spec.params}
    add_fields(parser, [f for f in config_fields(config_class(found.type)) if f.name in searched])
    trial = platform.sweeps.add_trial(found.id, field_values(parser.parse_args(arguments.rest_words)))
    print(f"Trial {trial.number} of {found.name} waits: {shown.settings(trial.params)}.")
    return 0


def promote(arguments: argparse.Namespace, platform: "Platform | None") -> int:
    """Train with the settings of a trial in full."""
    from minimind_platform.cli_fields import add_fields, field_values
    from trainer.configs import config_class
    from trainer.fields import config_fields

    platform = platform or open_platform(_with_home(arguments))
    found = platform.sweeps.get(arguments.id)
    parser = argparse.ArgumentParser(f"minimind sweep-promote {arguments.id}", allow_abbrev=False)
    parser.add_argument("trial", nargs="?", type=int, help="number of the trial [the best]")
    parser.add_argument("--name", default="", help="name of the task")
    parser.add_argument("--key", default="", help="the same key gives the same task, however often it is sent")
    parser.add_argument("--json", action="store_true", help="print the task as JSON")
    add_fields(parser, config_fields(config_class(found.type)))
    given = parser.parse_args(arguments.rest_words)
    task = platform.sweeps.promote(found.id, given.trial, field_values(given), name=given.name, key=given.key)
    if given.json:
        return _print_json(as_json(task))
    short = task.id[:SHORT]
    print(f"Task {short} {task.name} is {task.state.lower()}. Follow it: minimind logs -f {short}")
    return 0


def _with_home(arguments: argparse.Namespace) -> argparse.Namespace:
    """Take `--home` out of the words behind a sweep, where it may stand as everywhere."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--home", default=arguments.home)
    found, arguments.rest_words = parser.parse_known_args(arguments.rest_words)
    arguments.home = found.home
    return arguments


def _add_id(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", help="sweep id, the begin of it, or name")


def _add_types(parser: argparse.ArgumentParser) -> None:
    from minimind_platform.cli_fields import GROUPS, add_field, field_dest
    from minimind_platform.sweeps.spec import option_fields
    from trainer.configs import TRAINING_TYPES, TYPE_ALIASES
    from trainer.fields import config_fields
    from trainer.presets import PRESETS
    from trainer.starts import starts_of

    types = parser.add_subparsers(title="training types", metavar="TYPE", required=True)
    options = option_fields()
    taken = {field.name for field in options}
    for name, cls in TRAINING_TYPES.items():
        aliases = [alias for alias, meant in TYPE_ALIASES.items() if meant == name]
        text = f"Search settings of: {cls.title}."
        usage = f"minimind sweep {name} --search SETTING … --FIELD VALUE … [options]"
        added = types.add_parser(name, aliases=aliases, help=text, description=text, usage=usage, allow_abbrev=False)
        added.set_defaults(type=name)
        _add_own(added)
        added.add_argument(
            "--preset", choices=list(PRESETS), help="model size of all trials; other options win over it"
        )
        if starts := starts_of(name):
            added.add_argument(
                "--start", choices=list(starts), help="values of all trials; other options win over them"
            )
        searching = added.add_argument_group("search")
        for field in options:
            add_field(searching, field, OPTION + field.name)
        groups = {group: added.add_argument_group(f"{title}, of all trials") for group, title in GROUPS.items()}
        for field in config_fields(cls):
            names = [HIDDEN + field.name] if field.name in taken else [field.name, *field.aliases]
            add_field(groups[field.group], field, field_dest(field), names)


def _add_own(parser: argparse.ArgumentParser) -> None:
    space = (
        "a setting to search; SETTING alone takes its usual range, else =LOW:HIGH, =LOW:HIGH:log, =LOW:HIGH:STEP or "
        "=A,B,C; 'SETTING… if OTHER=VALUE' only then; once for each setting"
    )
    metric = "what is made small or large, METRIC[:minimize|maximize][:best|last|mean]; several times for several"
    parser.add_argument("--home", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    parser.add_argument("--search", action="append", default=[], metavar="SETTING", help=space)
    parser.add_argument("--metric", action="append", default=[], help=f"{metric} [the usual of the type]")
    parser.add_argument("--direction", default="", help="minimize or maximize [the usual of the metric]")
    parser.add_argument("--name", default="", help="name of the sweep, one of a kind [type and id]")
    parser.add_argument("--key", default="", help="the same key gives the same sweep, however often it is sent")
    parser.add_argument("--dry-run", "--dry_run", action="store_true", help="only check, and say what it would take")
    parser.add_argument("--follow", action="store_true", help="print trials as they end, until the sweep has ended")
    parser.add_argument("--json", action="store_true", help="print JSON")


def _dry_run(platform: "Platform", arguments: argparse.Namespace, wanted: tuple[Any, ...]) -> int:
    check = platform.sweeps.check(*wanted, name=arguments.name)
    if arguments.json:
        _print_json(shown.check_json(check))
        return 2 if check.problems else 0
    print(shown.space(check))
    if check.preflight:
        print(f"A trial: {takes(check.preflight)}")
    if check.problems:
        raise SettingsError(check.problems)
    return 0


def _follow(platform: "Platform", made: "Sweep", known: Collection[int] = ()) -> int:
    handle = platform.open_sweep(made.id)
    print()
    try:
        for trial in handle.follow():
            if trial.number not in known:
                print(shown.trial_line(made, trial), flush=True)
    except KeyboardInterrupt:
        print(f"The sweep goes on; `minimind sweep-stop {made.id[:SHORT]}` would end it.", file=sys.stderr)
        raise
    found = handle.info
    print(f"Sweep {found.name} is {found.state.lower()}: {found.reason or 'no reason given'}.")
    print(shown.best(found, handle.best_trials))
    return 0


@contextmanager
def _as_options() -> Iterator[None]:
    """Problems of a searched setting, named as it is written here: `--search learning_rate`."""
    try:
        yield
    except SettingsError as error:
        told = [replace(p, field=p.field.replace("search.", "search ", 1)) for p in error.problems]
        raise SettingsError(told) from None


def _print_json(value: Any) -> int:
    print(json.dumps(value, ensure_ascii=False, indent=2))
    return 0
