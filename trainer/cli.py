"""The trainer's command line, made from the configs. MiniMind's own option names work.

python -m trainer pretrain --data_path dataset/pretrain.jsonl --epochs 1 --batch_size 32
python -m trainer sft --config out/<run_id>/config.json
"""

import argparse
import gc
import importlib
import json
import logging
import os
import sys
import traceback
from pathlib import Path
from typing import Any

from trainer.base_sizes import base_sizes
from trainer.configs import TRAINING_TYPES, TrainConfig, config_class, own_names, parse_config
from trainer.errors import BusyError, Problem, SettingsError, TrainerError
from trainer.failures import explain
from trainer.fields import ConfigField, config_fields, told
from trainer.launcher import Failure, Launcher, check_count, follow_launcher, give_up
from trainer.names import BAD_INPUT, Env, ErrorClass, ExitCode, Outcome, RunStatus, TaskFile
from trainer.overrides import Overrides
from trainer.presets import PRESETS
from trainer.ranks import Ranks
from trainer.session import Session, lock_of, new_task_dir, write_json
from trainer.starts import starts_of

log = logging.getLogger("trainer")
MINIMIND_ONLY = {
    "num_workers": "data is tokenised once, ahead of training",
    "use_wandb": "MLflow does the tracking",
    "wandb_project": "MLflow does the tracking",
}
"""Options of MiniMind's scripts that have nothing to do here: taken, and said to be without effect."""


def add_fields(parser: argparse.ArgumentParser, fields: list[ConfigField]) -> None:
    """An option for each field, with `_` and with `-`; text goes to the config, which converts it."""
    groups: dict[str, Any] = {}
    for field in fields:
        group = groups.setdefault(field.group, None) or parser.add_argument_group(f"{field.group} settings")
        groups[field.group] = group
        known = (field.name, *field.aliases)
        names = dict.fromkeys(f"--{spelling}" for name in known for spelling in (name, name.replace("_", "-")))
        default = "required" if field.required else f"default {told(field, field.default)!r}"
        text = " ".join(part for part in (field.help, f"[{field.range_text}]" if field.range_text else "") if part)
        group.add_argument(
            *names,
            dest=field.name,
            default=argparse.SUPPRESS,
            metavar="X",
            help=f"{text} ({default})".replace("%", "%%"),
        )


def make_parser(type_name: str) -> argparse.ArgumentParser:
    """The parser of one training type."""
    cls = config_class(type_name)
    parser = argparse.ArgumentParser(f"python -m trainer {type_name}", description=cls.__doc__, allow_abbrev=False)
    parser.add_argument(
        "--config", dest="config_file", metavar="FILE", help="JSON file with settings; options win over it"
    )
    parser.add_argument("--preset", choices=list(PRESETS), help="model size to start from; options win over it")
    if starts := starts_of(cls.type):
        parser.add_argument("--start", choices=list(starts), help="values to start from; options win over them")
    parser.add_argument(
        "--from_resume",
        "--from-resume",
        default="0",
        metavar="0|1",
        help="1: go on with the newest unfinished run of exactly these settings",
    )
    parser.add_argument(
        "--force", action="store_true", help="with --from_resume 1: go on even if the data has changed since"
    )
    add_fields(parser, config_fields(cls))
    for name in MINIMIND_ONLY:
        parser.add_argument(f"--{name}", nargs="?", const="1", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    return parser


def main(argv: list[str]) -> int:
    """Train. Returns the exit code: 0 finished, 1 failed, 2 bad settings or data, 143 stopped."""
    if not argv or argv[0] in ("-h", "--help"):
        _print_types()
        return ExitCode.FINISHED if argv else ExitCode.BAD_INPUT
    ranks = Ranks.from_environment()
    _log_to_stdout(ranks)
    if ranks.count > 1:
        follow_launcher()
    home = Path(os.environ.get(Env.HOME) or Path.cwd()).resolve()
    try:
        config, options = _read_settings(argv, home)
        if ranks.count == 1:
            check_count(config)
    except TrainerError as error:
        return _refuse(error)
    if options.force:
        os.environ[Env.FORCE] = "1"  # for other processes of this training too; it is no setting of the training
    task_dir, run_id, tracked = _place(config, home, options.from_resume == "1")
    return run(config, task_dir, run_id, home, tracked)


def run(config: TrainConfig, task_dir: Path, run_id: str, home: Path, tracked: bool) -> int:
    """One attempt, from its directory to its result file."""
    opened_here = tracked and not os.environ.get(Env.TASK_DIR)
    try:
        overrides = Overrides.of_this_attempt(config)
        session = Session.open(overrides.applied(config), task_dir, home, run_id, tracked, overrides)
    except BusyError as error:
        log.error("%s %s", error.message, error.hint)
        return ExitCode.FAILED
    with session:
        together = config.num_processes > 1 and session.ranks.count == 1
        if not (task_dir / TaskFile.CONFIG).exists() or together:
            write_json(task_dir / TaskFile.CONFIG, {"type": config.type, "config": config.model_dump()})
        code, status = Launcher(config, session).run() if together else _attempt(session.config, session)
    if opened_here:
        from trainer.tracking import close_run

        close_run(run_id, status)
    return code


def _attempt(config: TrainConfig, session: Session) -> tuple[int, RunStatus]:
    try:
        recipe = importlib.import_module(f"trainer.recipes.{config.type}")  # torch is loaded here, not for --help
        gc.freeze()  # what was imported stays for good
        gc.enable()
        if session.ranks.count > 1:
            from trainer.devices import pick_device

            session.ranks.join(pick_device(config.device, session.ranks))
        outcome = recipe.train(config, session)
    except TrainerError as error:
        return _failed(session, error.message, error.hint, error.error_class, f"{error.message} {error.hint}")
    except Exception as error:
        return _failed(session, *explain(error, config), traceback.format_exc().rstrip())
    session.end(outcome)
    session.ranks.leave()
    if outcome is Outcome.STOPPED:
        return ExitCode.STOPPED, RunStatus.KILLED
    return ExitCode.FINISHED, RunStatus.FINISHED


def _failed(session: Session, message: str, hint: str, error_class: ErrorClass, details: str) -> tuple[int, RunStatus]:
    if session.ranks.count > 1:  # the launcher tells it, once for all
        give_up(session.task_dir, session.ranks.rank, Failure.now(message, hint, error_class, details))
    log.error("%s", details)
    session.end(Outcome.FAILED, message, hint, error_class)
    return ExitCode.BAD_INPUT if error_class in BAD_INPUT else ExitCode.FAILED, RunStatus.FAILED


def _read_settings(argv: list[str], home: Path) -> tuple[TrainConfig, argparse.Namespace]:
    options = make_parser(argv[0]).parse_args(argv[1:])
    cls = config_class(argv[0])
    given = {name: value for name, value in vars(options).items() if name in cls.model_fields}
    values: dict[str, Any] = {}
    if options.config_file:
        values |= _read_file(Path(options.config_file), cls)
    if options.preset:
        values |= PRESETS[options.preset].values
    if start := getattr(options, "start", None):
        values |= starts_of(cls.type)[start].values
    values |= given
    base = find_base(cls, values, home)
    if base is not None:
        values = base_sizes(base) | values
    for name, reason in MINIMIND_ONLY.items():
        if hasattr(options, name):
            log.info("--%s has no effect: %s.", name, reason)
    return parse_config(argv[0], values), options


def find_base(cls: type[TrainConfig], values: dict[str, Any], home: Path) -> Path | None:
    """Where the base weights lie, as far as settings that are not checked yet tell."""
    name = str(values.get("from_weight", cls.model_fields["from_weight"].default)).strip()
    if name in ("", "none") or name.startswith("models:/"):
        return None
    path = home / Path(name).expanduser()
    if path.exists():
        return path
    width = values.get("hidden_size", cls.model_fields["hidden_size"].default)
    moe = "_moe" if str(values.get("use_moe", "0")).lower() in ("1", "true", "yes", "on") else ""
    return home / str(values.get("save_dir", "out")) / f"{name}_{width}{moe}.pth"


def _read_file(path: Path, cls: type[TrainConfig]) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SettingsError([Problem("config", "unreadable", f"{path} cannot be read as JSON: {error}")]) from None
    if content.get("type", cls.type) != cls.type:
        text = f"{path} holds settings of {content['type']}, not of {cls.type}."
        raise SettingsError([Problem("config", "other_type", text)])
    return own_names(cls, content.get("config", content))


def _place(config: TrainConfig, home: Path, resume: bool) -> tuple[Path, str, bool]:
    """Task directory, run id, and whether there is a tracking server to feed."""
    wants_tracking = bool(os.environ.get(Env.TRACKING_URI))
    if os.environ.get(Env.TASK_DIR):
        return *new_task_dir(config, home), wants_tracking
    if resume:
        found = _unfinished(config, home)
        if found is not None:
            log.info("Going on with %s.", found)
            return found, found.name, wants_tracking and _is_run(found.name)
        log.info("There is no unfinished run of exactly these settings; starting a new one.")
    if wants_tracking and not os.environ.get(Env.RUN_ID):
        from trainer.tracking import open_run

        run_id = open_run(config)
        if run_id is None:
            return *new_task_dir(config, home), False
        os.environ[Env.RUN_ID] = run_id
    task_dir, run_id = new_task_dir(config, home)
    log.info("Task directory %s", task_dir)
    return task_dir, run_id, wants_tracking


def _is_run(run_id: str) -> bool:
    from trainer.tracking import knows

    if knows(run_id):
        return True
    log.warning("No tracking: this run began without the tracking server, which does not know it.")
    return False


def _unfinished(config: TrainConfig, home: Path) -> Path | None:
    wanted = _training(json.loads(json.dumps({"type": config.type, "config": config.model_dump()})))
    found = []
    for path in (home / config.save_dir).glob(f"*/{TaskFile.CONFIG}"):
        result = path.parent / TaskFile.RESULT
        finished = result.exists() and json.loads(result.read_text())["outcome"] == Outcome.FINISHED
        if finished or _training(json.loads(path.read_text(encoding="utf-8"))) != wanted:
            continue
        lock = lock_of(path.parent)
        if lock is not None:  # else another trainer is at it now
            os.close(lock)
            found.append(path.parent)
    return max(found, key=lambda p: p.stat().st_mtime, default=None)


def _training(content: dict[str, Any]) -> dict[str, Any]:
    """Settings without those that leave the training the same, so that it can go on with other values of them."""
    kept = {name: value for name, value in content["config"].items() if name not in ("num_processes", "parallel")}
    return content | {"config": kept}


def _refuse(error: TrainerError) -> int:
    """Settings that cannot work: say all that is wrong, and leave a result if a platform waits for one."""
    problems = error.problems if isinstance(error, SettingsError) else [error.message]
    for problem in problems:
        log.error("%s", problem)
    task_dir = os.environ.get(Env.TASK_DIR)
    if task_dir:
        content = {"outcome": Outcome.FAILED, "step": 0, "error": error.message, "error_class": error.error_class}
        write_json(Path(task_dir) / TaskFile.RESULT, content | {"hint": error.hint})
    return ExitCode.BAD_INPUT


def _print_types() -> None:
    print("usage: python -m trainer TYPE [--config FILE] [--preset NAME] [--setting value …]\n\ntraining types:")
    for cls in TRAINING_TYPES.values():
        print(f"  {cls.type:12} {(cls.__doc__ or '').splitlines()[0]}")
    print("\n`python -m trainer TYPE --help` lists the settings of a type.")


def _log_to_stdout(ranks: Ranks) -> None:
    """The first of several processes tells how the training goes; the others would only say the same."""
    name = "" if ranks.first else f"rank {ranks.rank}: "
    logging.basicConfig(
        stream=sys.stdout,
        level=logging.INFO if ranks.first else logging.ERROR,
        format=f"%(asctime)s %(levelname)s {name}%(message)s",
        datefmt="%Y-%m-%d %H:%M:%S",
    )
