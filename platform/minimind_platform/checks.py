"""Checks settings against this installation: paths, data and base weights, beside what the config checks itself.

checked = Checks(paths, weights, data).run("sft", values)
checked.problems, checked.config
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from minimind_platform.datasets import DataFiles
from minimind_platform.devices import gpus
from minimind_platform.errors import (
    NotFoundError,
    PathError,
    PlatformError,
    Problem,
    SettingsError,
    TrackingUnavailableError,
)
from minimind_platform.paths import Paths
from minimind_platform.preflight import Plan, model_sizes, teacher_sizes, tokenizer_file
from minimind_platform.token_checks import base_problem, teacher_problem
from minimind_platform.weights import Base, Weights
from trainer.base_sizes import base_sizes, size_problems
from trainer.configs import DistillConfig, LoRAConfig, TrainConfig, config_class, own_names, parse_config
from trainer.errors import DataError
from trainer.problems import more_than_cores
from trainer.reward_specs import GT_HINT, ModelReward, Reward, gt_fault, in_reward
from trainer.rows import RowReader, detect_format
from trainer.sizes import linear_layers, sizes_of_config

READ_ROWS = 20
"""First rows of a data file that are read for a check; the training reads all."""
NO_BASE = "Or set from_weight to none, to start from nothing."
NOT_GIVEN = "-"
"""Stands for a data path that is missing or wrong, so that the other settings can be checked."""


@dataclass
class Checked:
    """Settings after the checks."""

    problems: list[Problem] = field(default_factory=list)
    config: TrainConfig | None = None
    """Complete, with absolute paths; wrong fields have their defaults. None if nothing could be made of them."""
    data: Path | None = None
    base: Base | None = None
    teacher: Base | None = None
    given: TrainConfig | None = None
    unavailable: TrackingUnavailableError | None = None
    """The base or the teacher is a registered model, and the registry does not answer."""
    unavailable_field: str = ""
    """The setting that names it."""


class Checks:
    """Checks of what a person wants to train."""

    def __init__(self, paths: Paths, weights: Weights, data: DataFiles, out_dir: Path) -> None:
        self._paths = paths
        self._weights = weights
        self._data = data
        self._out = out_dir

    def run(self, type_name: str, values: dict[str, Any]) -> Checked:
        """Check everything and collect all problems."""
        checked = Checked()
        try:
            values = own_names(config_class(type_name), values)
            checked.given = parse_config(type_name, values)
        except SettingsError as error:
            checked.problems += error.problems
            checked.given = _without(type_name, values, {p.field for p in error.problems})
        if checked.given is None:
            return checked
        wrong = {p.field for p in checked.problems}
        changes: dict[str, Any] = {"save_dir": str(self._out)}
        for name in ("data_path", "eval_data_path"):
            text = getattr(checked.given, name)
            if text and name not in wrong:
                self._check_data(checked, name, text, changes)
        if not {"num_processes", "device"} & wrong:
            _check_processes(checked)
        if checked.given.tokenizer_path and "tokenizer_path" not in wrong:
            self._check_tokenizer(checked, changes)
        if "from_weight" not in wrong:
            given = checked.given
            checked.base = self._base(checked, "from_weight", given.hidden_size, given.use_moe, changes)
        self._check_teacher(checked, wrong, changes)
        if "rewards" not in wrong:
            self._check_rewards(checked, changes)
        _check_targets(checked, wrong)
        self._take_sizes(checked, set(values), changes)
        try:
            checked.config = parse_config(type_name, checked.given.model_dump() | changes)
        except SettingsError as error:  # sizes of the base that this program cannot train
            checked.problems += error.problems
        if checked.config and "tokenizer_path" not in {p.field for p in checked.problems}:
            config, base = checked.config, checked.base
            found = base_problem(config, base) or teacher_problem(config, base, checked.teacher)
            checked.problems += [found] if found else []
        return checked

    def keep(self, checked: Checked) -> None:
        """Have the weights that a task will start from stay until it does.

        Raises:
            SettingsError: some were removed since the check.
        """
        for name, base in (("from_weight", checked.base), ("from_teacher_weight", checked.teacher)):
            try:
                self._weights.keep(base or Base("none"))
            except NotFoundError as error:
                raise SettingsError([_path_problem(name, base.setting if base else "", error)]) from None

    def plan(self, checked: Checked) -> Plan | None:
        """What to estimate from, or None if data or model are not known well enough."""
        telling = {
            "data_path",
            "from_weight",
            "from_teacher_weight",
            "save_dir",
            "model_name",
            "save_weight",
            "eval_data_path",
            "seed",
        }
        unclear = {p.field for p in checked.problems} - telling
        if checked.config is None or checked.data is None or unclear:
            return None
        base = checked.base.folder if checked.base else None
        tokenizer = tokenizer_file(checked.config, base)
        sample = self._data.sample(checked.data, tokenizer)
        teacher = teacher_sizes(checked.teacher.path) if checked.teacher and checked.teacher.path else None
        return Plan(checked.config, model_sizes(checked.config, base), sample, teacher)

    def _check_data(self, checked: Checked, name: str, text: str, changes: dict[str, Any]) -> None:
        assert checked.given is not None
        if text == NOT_GIVEN:
            return
        try:
            path = self._paths.data(text)
        except PlatformError as error:
            checked.problems.append(_path_problem(name, text, error))
            return
        changes[name] = str(path)
        known = not any(p.field == "rewards" for p in checked.problems)
        rewards = getattr(checked.given, "rewards", ()) if known else ()
        problem = _row_problem(name, path, self._paths.shorten(path), checked.given, rewards)
        if problem:
            checked.problems.append(problem)
        elif name == "data_path":
            checked.data = path

    def _check_tokenizer(self, checked: Checked, changes: dict[str, Any]) -> None:
        assert checked.given is not None
        text = checked.given.tokenizer_path
        try:
            folder = self._paths.folder(text)
            if not (folder / "tokenizer.json").is_file():
                raise NotFoundError(f"The folder {text!r} has no tokenizer.json.")
            changes["tokenizer_path"] = str(folder)
        except PlatformError as error:
            checked.problems.append(_path_problem("tokenizer_path", text, error))

    def _base(self, checked: Checked, name: str, width: int, moe: bool, changes: dict[str, Any]) -> Base | None:
        """The weights that a setting names, or None with the problem noted."""
        assert checked.given is not None
        text = getattr(checked.given, name)
        try:
            base = self._weights.base(text, width, moe)
        except (NotFoundError, PathError) as error:
            checked.problems.append(_path_problem(name, text, error, checked.given.needs_base))
            return None
        except TrackingUnavailableError as error:
            checked.unavailable, checked.unavailable_field = error, name
            return None
        changes[name] = base.setting
        return base

    def _check_teacher(self, checked: Checked, wrong: set[str], changes: dict[str, Any]) -> None:
        given, name = checked.given, "from_teacher_weight"
        if isinstance(given, DistillConfig) and name not in wrong:
            checked.teacher = self._base(checked, name, given.teacher_hidden_size, given.teacher_use_moe, changes)

    def _check_rewards(self, checked: Checked, changes: dict[str, Any]) -> None:
        """Reward models must be folders that may be read."""
        rewards: list[Reward] = list(getattr(checked.given, "rewards", ()))
        for index, reward in enumerate(rewards):
            if not isinstance(reward, ModelReward):
                continue
            try:
                folder = self._paths.folder(reward.path)
                if not (folder / "config.json").is_file():
                    raise NotFoundError(f"The folder {reward.path!r} has no config.json.")
                rewards[index] = reward.model_copy(update={"path": str(folder)})
            except PlatformError as error:
                checked.problems.append(in_reward(index, reward.kind, _path_problem("path", reward.path, error)))
        if rewards:
            changes["rewards"] = rewards

    @staticmethod
    def _take_sizes(checked: Checked, named: set[str], changes: dict[str, Any]) -> None:
        """The model's sizes come from the base. Forms send defaults too, so only other values can contradict it."""
        given, base = checked.given, checked.base
        if given is None or base is None or base.path is None:
            return
        fields = type(given).model_fields
        typed = {name: value for name, value in given.model_dump().items() if name in named & set(fields)}
        meant = {name: value for name, value in typed.items() if value != fields[name].default}
        problems = size_problems(meant, base.path)
        checked.problems += problems
        contradicted = {problem.field for problem in problems}
        changes.update({n: v for n, v in base_sizes(base.path).items() if n in fields and n not in contradicted})


def _check_processes(checked: Checked) -> None:
    """Every process needs a GPU of its own, or a core."""
    assert checked.given is not None
    count, device = checked.given.num_processes, checked.given.device
    here = len(gpus())
    if count > 1 and here and device != "cpu":
        if count > here:
            text = f"{count} processes need {count} GPUs, and this machine has {here}. Lower it, or set device to cpu."
            values = {"processes": count, "gpus": here}
            checked.problems.append(Problem("num_processes", "more_than_gpus", text, values))
    elif problem := more_than_cores(count):
        checked.problems.append(problem)


def _without(type_name: str, values: dict[str, Any], wrong: set[str]) -> TrainConfig | None:
    """The settings that are left when the wrong ones take their defaults."""
    try:
        known = set(config_class(type_name).model_fields)
        rest = {name: value for name, value in values.items() if name in known - wrong}
        return parse_config(type_name, {"data_path": NOT_GIVEN} | rest)
    except SettingsError:
        return None


def _check_targets(checked: Checked, wrong: set[str]) -> None:
    """Layers for adapters that a model of the families we know does not have; the trainer tells it of others."""
    given, base = checked.given, checked.base
    if not isinstance(given, LoRAConfig) or base is None or base.path is None or "lora_target_modules" in wrong:
        return
    known = base_sizes(base.path)
    if "architecture" not in known or "." in given.lora_target_modules:  # a name with dots is of one block only
        return
    sizes = sizes_of_config(given.model_copy(update={"use_moe": known.get("use_moe", False)}))
    if problem := given.unknown_targets(linear_layers(sizes)):
        checked.problems.append(problem)


def _path_problem(name: str, text: str, error: PlatformError, needed: bool = False) -> Problem:
    code = "not_found" if isinstance(error, NotFoundError) else "path_refused"
    hint = f"{error.hint} {NO_BASE}".strip() if name == "from_weight" and not needed else error.hint
    message = f"{error.message} {hint}".strip()
    return Problem(name, code, message, {"value": text, "reason": error.message, "hint": hint})


def _row_problem(name: str, path: Path, shown: str, config: TrainConfig, rewards: Sequence[Reward]) -> Problem | None:
    """What the first rows tell about a file: another format, or a fault."""
    needed, found = config.data_format, detect_format(path)
    if found and found != needed:
        wrong = f"{shown} holds {found} data, but {config.title} needs {needed} data."
        message = f"{wrong} Choose other data or another type."
        values = {"path": shown, "found": found, "expected": needed}
        return Problem(name, "data_format", message, values)
    try:
        reader = RowReader(path, needed)
        reader.check_begins()
        for row in islice(reader.rows(), READ_ROWS):
            if fault := gt_fault(rewards, row.value.get("gt") or ()):
                raise DataError(f"{reader.data.located(row.place)}: {fault}.", GT_HINT)
    except DataError as error:
        message = re.sub(r"\s+", " ", f"{error.message} {error.hint}".replace(str(path), shown)).strip()
        return Problem(name, "data_unusable", message, {"path": shown, "reason": error.message, "hint": error.hint})
    return None
