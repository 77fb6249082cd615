"""Every setting of every training type, in one place. The form, the command line, the documentation, the checks and
the parameters in MLflow all come from these classes; the text under a field is its help everywhere.

    config = parse_config("sft", {"data_path": "dataset/sft.jsonl", "epochs": "2"})
"""

from collections.abc import Collection
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, ValidationError, model_validator

from trainer.errors import FieldError, Problem, SettingsError
from trainer.problems import problems_of
from trainer.rl_config import GRPOConfig, PPOConfig, SPOConfig
from trainer.shared_config import MAX_POSITIONS, Path, Search, Setting, TrainConfig

ALL_LINEAR = "all-linear"
"""Stands for every linear layer in lora_target_modules."""


class PretrainConfig(TrainConfig):
    """Next-token prediction on plain text: the first stage of a model."""

    type = "pretrain"
    title = "Pretraining"
    data_format = "pretrain"

    accumulation_steps: Annotated[int, Field(ge=1, le=65_536), Setting("training"), Search(1, 16, log=True)] = 8
    """Batches whose gradients are added up for one step."""
    save_weight: Annotated[
        str, Field(pattern=r"^([A-Za-z0-9][A-Za-z0-9._-]{0,63})?$"), Setting("output", advanced=True)
    ] = "pretrain"
    """Prefix of the MiniMind file out/{save_weight}_{hidden_size}.pth written at the end. Empty: no such file."""


class SFTConfig(TrainConfig):
    """Supervised fine-tuning on conversations: only the assistant's words carry loss."""

    type = "sft"
    title = "Supervised fine-tuning"
    data_format = "sft"

    max_seq_len: Annotated[int, Field(ge=8, le=MAX_POSITIONS), Setting("data")] = 768
    """Longest row in tokens. Longer rows are cut, and counted in the log."""
    system_prompt_ratio: Annotated[float, Field(ge=0, le=1), Setting("data", advanced=True)] = 0.2
    """Share of the rows without a system message that get a random one, drawn anew each epoch."""
    empty_think_ratio: Annotated[float, Field(ge=0, le=1), Setting("data", advanced=True)] = 0.2
    """Share of the rows whose empty <think> blocks stay; the others lose them, so that the model learns both."""
    from_weight: Annotated[Path, Setting("model", kind="weight")] = "pretrain"
    """Weights to start from: none, a registered model (models:/name/version), a Hugging Face folder, a MiniMind .pth
    file, or a MiniMind prefix such as pretrain (out/pretrain_768.pth). With other than none, the model's sizes come
    from the weights when they tell them."""
    batch_size: Annotated[int, Field(ge=1, le=65_536), Setting("training"), Search(8, 128, log=True)] = 16
    """Rows a forward pass. A step uses batch_size × accumulation_steps rows."""
    learning_rate: Annotated[float, Field(gt=0, lt=1), Setting("training"), Search(1e-6, 5e-3, log=True)] = 1e-5
    """Peak learning rate; follows a cosine down to a tenth of it."""
    save_weight: Annotated[
        str, Field(pattern=r"^([A-Za-z0-9][A-Za-z0-9._-]{0,63})?$"), Setting("output", advanced=True)
    ] = "full_sft"
    """Prefix of the MiniMind file out/{save_weight}_{hidden_size}.pth written at the end. Empty: no such file."""


class LoRAConfig(SFTConfig):
    """Fine-tuning of small adapters on conversations: the base weights stay as they are, and only low-rank additions to
    some of their layers are trained and stored."""

    type = "lora"
    title = "LoRA fine-tuning"
    needs_base = True
    aliases = TrainConfig.aliases | {"lora_name": "save_weight"}

    max_seq_len: Annotated[int, Field(ge=8, le=MAX_POSITIONS), Setting("data")] = 340
    """Longest row in tokens. Longer rows are cut, and counted in the log."""
    from_weight: Annotated[Path, Setting("model", kind="weight")] = "full_sft"
    """Weights that the adapters are put on, which stay as they are: a registered model (models:/name/version), a
    Hugging Face folder, a MiniMind .pth file, or a MiniMind prefix such as full_sft (out/full_sft_768.pth). The model's
    sizes come from them when they tell them."""
    lora_rank: Annotated[int, Field(ge=1, le=1024), Setting("model"), Search(4, 64, log=True)] = 16
    """Inner width of the adapters: more can learn more and takes more memory. MiniMind always has 16."""
    lora_target_modules: Annotated[str, Field(min_length=1, max_length=1000), Setting("model")] = "q_proj,o_proj"
    """Linear layers that get an adapter, by the ends of their names, with commas between; all-linear for all of them.
    The default is MiniMind's rule at its usual sizes; only square layers can be written as a MiniMind LoRA file."""
    lora_alpha: Annotated[float, Field(ge=0, le=4096), Setting("model", advanced=True)] = 0
    """Strength of the adapters: what they add is multiplied by lora_alpha / lora_rank. 0: the same as lora_rank, which
    is a factor of 1 as in MiniMind."""
    lora_dropout: Annotated[float, Field(ge=0, lt=1), Setting("model", advanced=True), Search(0, 0.3)] = 0.0
    """Share of an adapter's inputs that are dropped at random during training."""
    epochs: Annotated[int, Field(ge=1, le=10_000), Setting("training"), Search(1, 20)] = 10
    """Passes over the training data."""
    batch_size: Annotated[int, Field(ge=1, le=65_536), Setting("training"), Search(8, 128, log=True)] = 32
    """Rows a forward pass. A step uses batch_size × accumulation_steps rows."""
    learning_rate: Annotated[float, Field(gt=0, lt=1), Setting("training"), Search(1e-5, 1e-2, log=True)] = 1e-4
    """Peak learning rate; follows a cosine down to a tenth of it."""
    save_weight: Annotated[
        str, Field(pattern=r"^([A-Za-z0-9][A-Za-z0-9._-]{0,63})?$"), Setting("output", advanced=True)
    ] = "lora"
    """Prefix of the MiniMind file out/{save_weight}_{hidden_size}.pth written at the end. Empty: no such file."""

    @model_validator(mode="after")
    def _check_base(self) -> "LoRAConfig":
        if self.from_weight.strip() in ("", "none"):
            raise FieldError(
                "from_weight", "lora_needs_base", "LoRA trains additions to a model: choose one to start from."
            )
        if not self.lora_targets and self.lora_target_modules.strip() != ALL_LINEAR:
            text = f"Name layers, or {ALL_LINEAR} for all linear ones, got {self.lora_target_modules!r}."
            raise FieldError("lora_target_modules", "no_target_modules", text, value=self.lora_target_modules)
        if self.sharded:
            raise FieldError("parallel", "adapters_not_sharded", "Adapters do not work with fsdp. Set it to ddp.")
        return self

    def unknown_targets(self, names: Collection[str]) -> Problem | None:
        """What is wrong with lora_target_modules for a model with linear layers of these names, or None."""
        unknown = [t for t in self.lora_targets if not any(n == t or n.endswith(f".{t}") for n in names)]
        if not unknown:
            return None
        ends = sorted({name.rpartition(".")[2] for name in names})
        missing, there = ", ".join(unknown), ", ".join(ends) or "none"
        text = f"This model has no linear layers named {missing}. It has {there}; {ALL_LINEAR} means all of them."
        return Problem("lora_target_modules", "unknown_target_modules", text, {"names": missing, "there": there})

    @property
    def lora_scale(self) -> float:
        """The factor on what the adapters add."""
        return self.lora_alpha / self.lora_rank if self.lora_alpha else 1.0

    @property
    def lora_targets(self) -> list[str]:
        """The named layers; empty for all linear ones."""
        names = [name.strip() for name in self.lora_target_modules.split(",")]
        return [] if names == [ALL_LINEAR] else list(dict.fromkeys(name for name in names if name))


class ReasonConfig(SFTConfig):
    """Reasoning distillation: fine-tuning on answers with thoughts in <think> and the result in <answer>, whose tags
    weigh more than other words."""

    type = "reason"
    title = "Reasoning distillation"

    max_seq_len: Annotated[int, Field(ge=8, le=MAX_POSITIONS), Setting("data")] = 720
    """Longest row in tokens. Longer rows are cut, and counted in the log."""
    from_weight: Annotated[Path, Setting("model", kind="weight")] = "full_sft"
    """Weights to start from: none, a registered model (models:/name/version), a Hugging Face folder, a MiniMind .pth
    file, or a MiniMind prefix such as pretrain (out/pretrain_768.pth). With other than none, the model's sizes come
    from the weights when they tell them."""
    epochs: Annotated[int, Field(ge=1, le=10_000), Setting("training"), Search(1, 4)] = 1
    """Passes over the training data."""
    batch_size: Annotated[int, Field(ge=1, le=65_536), Setting("training"), Search(8, 128, log=True)] = 8
    """Rows a forward pass. A step uses batch_size × accumulation_steps rows."""
    learning_rate: Annotated[float, Field(gt=0, lt=1), Setting("training"), Search(1e-6, 5e-3, log=True)] = 1e-6
    """Peak learning rate; follows a cosine down to a tenth of it."""
    tag_weight: Annotated[float, Field(gt=0, le=1000), Setting("training"), Search(1, 20)] = 10.0
    """Weight in the loss of the tokens of <think>, </think>, <answer> and </answer>; other tokens weigh 1."""
    tag_weighting: Annotated[Literal["sequences", "token_ids"], Setting("training", advanced=True)] = "sequences"
    """What counts as a tag: sequences, only where a whole tag stands; token_ids, every token that is a piece of a tag,
    wherever it stands, as in MiniMind v2."""
    save_weight: Annotated[
        str, Field(pattern=r"^([A-Za-z0-9][A-Za-z0-9._-]{0,63})?$"), Setting("output", advanced=True)
    ] = "reason"
    """Prefix of the MiniMind file out/{save_weight}_{hidden_size}.pth written at the end. Empty: no such file."""


class DistillConfig(SFTConfig):
    """White-box distillation: a student learns from conversations and from the probabilities that a teacher gives to
    every word."""

    type = "distill"
    title = "White-box distillation"
    aliases: ClassVar[dict[str, str]] = SFTConfig.aliases | {
        "from_student_weight": "from_weight",
        "student_hidden_size": "hidden_size",
        "student_num_layers": "num_hidden_layers",
        "student_use_moe": "use_moe",
    }

    max_seq_len: Annotated[int, Field(ge=8, le=MAX_POSITIONS), Setting("data")] = 340
    """Longest row in tokens. Longer rows are cut, and counted in the log."""
    from_teacher_weight: Annotated[Path, Field(min_length=1), Setting("model", kind="weight")] = "full_sft"
    """The teacher: a registered model (models:/name/version), a Hugging Face folder, a MiniMind .pth file, or a
    MiniMind prefix such as full_sft (out/full_sft_768_moe.pth). It must have the student's tokenizer."""
    from_weight: Annotated[Path, Setting("model", kind="weight")] = "full_sft"
    """Weights that the student starts from: none, a registered model (models:/name/version), a Hugging Face folder, a
    MiniMind .pth file, or a MiniMind prefix such as pretrain (out/pretrain_768.pth). With other than none, the
    student's sizes come from the weights when they tell them."""
    teacher_hidden_size: Annotated[int, Field(ge=8, le=8192), Setting("model", advanced=True)] = 768
    """Width of a teacher that is named by a MiniMind prefix; any other tells it itself."""
    teacher_use_moe: Annotated[bool, Setting("model", advanced=True)] = True
    """Whether a teacher that is named by a MiniMind prefix is a mixture of experts; any other tells it itself."""
    teacher_num_layers: Annotated[int, Field(ge=0, le=128), Setting("model", advanced=True)] = 0
    """Layers that the teacher must have. 0: as many as its weights have."""
    epochs: Annotated[int, Field(ge=1, le=10_000), Setting("training"), Search(1, 4)] = 6
    """Passes over the training data."""
    batch_size: Annotated[int, Field(ge=1, le=65_536), Setting("training"), Search(8, 128, log=True)] = 32
    """Rows a forward pass. A step uses batch_size × accumulation_steps rows."""
    learning_rate: Annotated[float, Field(gt=0, lt=1), Setting("training"), Search(1e-6, 5e-3, log=True)] = 5e-6
    """Peak learning rate; follows a cosine down to a tenth of it."""
    alpha: Annotated[float, Field(ge=0, le=1), Setting("training"), Search(0, 1)] = 0.5
    """Share of the cross-entropy with the data in the loss; the rest is the distance to the teacher."""
    temperature: Annotated[float, Field(gt=0, le=100), Setting("training"), Search(1, 4)] = 1.5
    """Softens the probabilities of teacher and student before they are compared; 1 leaves them as they are."""
    save_weight: Annotated[
        str, Field(pattern=r"^([A-Za-z0-9][A-Za-z0-9._-]{0,63})?$"), Setting("output", advanced=True)
    ] = "full_dist"
    """Prefix of the MiniMind file out/{save_weight}_{hidden_size}.pth written at the end. Empty: no such file."""

    @model_validator(mode="after")
    def _check_teacher(self) -> "DistillConfig":
        if self.from_teacher_weight.strip().lower() in ("none", ""):
            message = "Distillation needs a teacher; for the data alone choose type sft."
            raise FieldError("from_teacher_weight", "no_teacher", message)
        return self


class DPOConfig(TrainConfig):
    """Direct preference optimisation: of two answers to the same question the model learns to prefer the better one,
    without moving far from where it starts."""

    type = "dpo"
    title = "Preference optimisation (DPO)"
    data_format = "dpo"
    needs_base = True

    max_seq_len: Annotated[int, Field(ge=8, le=MAX_POSITIONS), Setting("data")] = 1024
    """Longest row in tokens. Longer rows are cut, and counted in the log."""
    empty_think_ratio: Annotated[float, Field(ge=0, le=1), Setting("data", advanced=True)] = 0.2
    """Share of the rows whose empty <think> blocks stay; the others lose them, so that the model learns both."""
    from_weight: Annotated[Path, Setting("model", kind="weight")] = "full_sft"
    """Weights to start from, which are the reference too: a registered model (models:/name/version), a Hugging Face
    folder, a MiniMind .pth file, or a MiniMind prefix such as full_sft (out/full_sft_768.pth). The model's sizes come
    from them when they tell them."""
    epochs: Annotated[int, Field(ge=1, le=10_000), Setting("training"), Search(1, 4)] = 1
    """Passes over the training data."""
    batch_size: Annotated[int, Field(ge=1, le=65_536), Setting("training"), Search(4, 64, log=True)] = 4
    """Rows a forward pass. A step uses batch_size × accumulation_steps rows."""
    learning_rate: Annotated[float, Field(gt=0, lt=1), Setting("training"), Search(1e-7, 1e-4, log=True)] = 4e-8
    """Peak learning rate; follows a cosine down to a tenth of it."""
    beta: Annotated[float, Field(gt=0, le=10), Setting("training"), Search(0.01, 0.5, log=True)] = 0.15
    """How close the model stays to where it starts: with a small one it may move far for a little more preference."""
    dpo_form: Annotated[Literal["sum", "mean"], Setting("training", advanced=True)] = "sum"
    """What is compared of two answers: sum, their log-probabilities, as in MiniMind v3; mean, their log-probabilities
    a token, so that length does not count, as in v2, whose beta is 0.1."""
    save_weight: Annotated[
        str, Field(pattern=r"^([A-Za-z0-9][A-Za-z0-9._-]{0,63})?$"), Setting("output", advanced=True)
    ] = "dpo"
    """Prefix of the MiniMind file out/{save_weight}_{hidden_size}.pth written at the end. Empty: no such file."""

    @model_validator(mode="after")
    def _check_reference(self) -> "DPOConfig":
        if self.from_weight.strip() in ("", "none"):
            text = "Preferences are learned by a model that can answer already: choose one to start from."
            raise FieldError("from_weight", "dpo_needs_base", text)
        if self.sharded:
            raise FieldError("parallel", "pairs_not_sharded", "Pairs do not work with fsdp. Set it to ddp.")
        return self


TRAINING_TYPES: dict[str, type[TrainConfig]] = {
    c.type: c
    for c in (
        PretrainConfig,
        SFTConfig,
        LoRAConfig,
        ReasonConfig,
        DistillConfig,
        DPOConfig,
        GRPOConfig,
        SPOConfig,
        PPOConfig,
    )
}

TYPE_ALIASES = {"full_sft": "sft", "distillation": "distill"}
"""MiniMind's names of training scripts that differ from ours."""


def config_class(type_name: str) -> type[TrainConfig]:
    """The config class of a training type.

    Raises:
        SettingsError: there is no such type; the message lists those that there are.
    """
    name = TYPE_ALIASES.get(type_name, type_name)
    if name not in TRAINING_TYPES:
        choices = ", ".join(TRAINING_TYPES)
        message = f"Unknown training type {type_name!r}; choose one of {choices}."
        raise SettingsError([Problem("", "unknown_type", message, {"type": type_name, "choices": choices})])
    return TRAINING_TYPES[name]


def own_names(cls: type[TrainConfig], values: dict[str, Any]) -> dict[str, Any]:
    """Settings by our names where they have MiniMind's."""
    return {cls.aliases.get(name, name): value for name, value in values.items()}


def parse_config(type_name: str, values: dict[str, Any]) -> TrainConfig:
    """Check settings and fill in the defaults.

    Args:
        type_name: a key of `TRAINING_TYPES`.
        values: settings by field name; text is converted, as it comes from forms and command lines.

    Raises:
        SettingsError: with every problem that was found, not only the first.
    """
    cls = config_class(type_name)
    renamed = own_names(cls, values)
    try:
        return cls.model_validate(renamed)
    except ValidationError as error:
        raise SettingsError(problems_of(cls, renamed, error)) from None
