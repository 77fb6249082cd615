"""Every setting of every training type, in one place. The form, the command line, the documentation, the checks and
the parameters in MLflow all come from these classes; the text under a field is its help everywhere.

    config = parse_config("sft", {"data_path": "dataset/sft.jsonl", "epochs": "2"})
"""

import math
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from trainer.errors import FieldError, Problem, SettingsError
from trainer.problems import problems_of


@dataclass(frozen=True)
class Setting:
    """Where a field belongs in a form."""

    group: Literal["data", "model", "training", "runtime", "output"]
    advanced: bool = False
    kind: Literal["", "dataset", "weight", "device"] = ""
    """What is picked from: a data file, base weights, a device; "" for a plain value."""


@dataclass(frozen=True)
class Search:
    """The range that a sweep proposes for a field."""

    low: float
    high: float
    log: bool = False


Path = Annotated[str, Field(max_length=4096)]
MAX_POSITIONS = 32_768
"""`max_position_embeddings` of the MiniMind family (contract section 1)."""
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"


class TrainConfig(BaseModel):
    """Settings that every training type shares."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False)
    type: ClassVar[str]
    title: ClassVar[str]
    data_format: ClassVar[str]
    """The format of the data files, a key of `trainer.row_formats.KEYS`."""
    aliases: ClassVar[dict[str, str]] = {"use_compile": "compile"}
    """MiniMind's option names that differ from ours: theirs to ours."""

    data_path: Annotated[Path, Field(min_length=1), Setting("data", kind="dataset")]
    """Training data: a file (.jsonl, .jsonl.gz, .jsonl.zst, .parquet), or a folder of such files."""
    eval_data_path: Annotated[Path, Setting("data", advanced=True, kind="dataset")] = ""
    """Data to evaluate on. Empty: a part of the training data is held out (see eval_fraction)."""
    eval_fraction: Annotated[float, Field(ge=0, le=0.5), Setting("data", advanced=True)] = 0.02
    """Share of the training rows held out for evaluation when eval_data_path is empty; 0 for none."""
    max_seq_len: Annotated[int, Field(ge=8, le=MAX_POSITIONS), Setting("data")] = 340
    """Longest row in tokens. Longer rows are cut, and counted in the log."""
    unlabelled_rows: Annotated[Literal["skip", "refuse"], Setting("data", advanced=True)] = "skip"
    """Rows without anything to learn from within max_seq_len: skip them, counted in the log, or refuse the data."""

    from_weight: Annotated[Path, Setting("model", kind="weight")] = "none"
    """Weights to start from: none, a registered model (models:/name/version), a Hugging Face folder, a MiniMind .pth
    file, or a MiniMind prefix such as pretrain (out/pretrain_768.pth). With other than none, the model's sizes come
    from the weights when they tell them."""
    tokenizer_path: Annotated[Path, Setting("model", advanced=True)] = ""
    """Tokenizer folder in Hugging Face format. Empty: the base model's own, else the one that ships with MiniMind
    Platform."""
    architecture: Annotated[Literal["v3", "v2"], Setting("model")] = "v3"
    """MiniMind generation: v3 (minimind-3, the same as Qwen3) or v2 (minimind2, the same as Llama)."""
    hidden_size: Annotated[int, Field(ge=8, le=8192), Setting("model"), Search(128, 1024)] = 768
    """Width of the model; a multiple of num_attention_heads with an even head size."""
    num_hidden_layers: Annotated[int, Field(ge=1, le=128), Setting("model"), Search(2, 16)] = 8
    """Number of transformer layers."""
    num_attention_heads: Annotated[int, Field(ge=1, le=128), Setting("model", advanced=True)] = 8
    """Number of attention heads."""
    num_key_value_heads: Annotated[int, Field(ge=1, le=128), Setting("model", advanced=True)] = 4
    """Number of key and value heads; divides num_attention_heads."""
    intermediate_size: Annotated[int, Field(ge=0, le=65_536), Setting("model", advanced=True)] = 0
    """Width of the feed-forward layers. 0: MiniMind's own rule for the architecture."""
    inference_rope_scaling: Annotated[bool, Setting("model", advanced=True)] = False
    """Rotary positions stretched 16 times by YaRN, for rows longer than the 2,048 tokens that they are made for.
    MiniMind models only."""
    use_moe: Annotated[bool, Setting("model")] = False
    """Mixture of experts in every layer (architecture v3 only)."""
    num_experts: Annotated[int, Field(ge=2, le=256), Setting("model", advanced=True)] = 4
    """Number of experts a layer, with use_moe."""
    num_experts_per_tok: Annotated[int, Field(ge=1, le=64), Setting("model", advanced=True)] = 1
    """Experts that each token visits, with use_moe."""

    epochs: Annotated[int, Field(ge=1, le=10_000), Setting("training"), Search(1, 4)] = 2
    """Passes over the training data."""
    max_steps: Annotated[int, Field(ge=0), Setting("training")] = 0
    """Stop after so many steps, whatever epochs says, with the learning rate planned for that length. 0: no limit."""
    batch_size: Annotated[int, Field(ge=1, le=65_536), Setting("training"), Search(8, 128, log=True)] = 32
    """Rows a forward pass. A step uses batch_size × accumulation_steps rows."""
    accumulation_steps: Annotated[int, Field(ge=1, le=65_536), Setting("training"), Search(1, 16, log=True)] = 1
    """Batches whose gradients are added up for one step."""
    learning_rate: Annotated[float, Field(gt=0, lt=1), Setting("training"), Search(1e-6, 5e-3, log=True)] = 5e-4
    """Peak learning rate; follows a cosine down to a tenth of it."""
    warmup_steps: Annotated[int, Field(ge=0), Setting("training", advanced=True), Search(0, 500)] = 0
    """Steps over which the learning rate first rises from 0."""
    weight_decay: Annotated[float, Field(ge=0, lt=1), Setting("training", advanced=True), Search(0, 0.2)] = 0.01
    """AdamW weight decay, on all parameters as in MiniMind."""
    grad_clip: Annotated[float, Field(ge=0, le=1000), Setting("training", advanced=True)] = 1.0
    """Largest norm of the gradient; larger ones are scaled down. 0: no clipping."""
    seed: Annotated[int, Field(ge=0, lt=2**31), Setting("training", advanced=True)] = 42
    """Seed of the initial weights, the order of the rows and every random draw."""
    nan_policy: Annotated[Literal["stop", "skip"], Setting("training", advanced=True)] = "stop"
    """When the loss becomes NaN or infinite: stop and keep the last good checkpoint, or skip that step."""

    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d+)?)$"), Setting("runtime", kind="device")] = "auto"
    """Where to train: auto (the first free GPU, else the CPU), cpu, cuda, or one GPU such as cuda:0."""
    dtype: Annotated[Literal["bfloat16", "float16", "float32"], Setting("runtime")] = "bfloat16"
    """Precision of the forward pass on a GPU; weights stay in float32. The CPU always computes in float32."""
    packing: Annotated[bool, Setting("runtime", advanced=True)] = True
    """Join the rows of a batch without padding; each row attends to itself only, so the loss stays the same."""
    compile: Annotated[bool, Setting("runtime", advanced=True)] = False
    """Compile the model with torch.compile: a slow start, then faster steps. On the CPU it needs a C++ compiler."""
    gradient_checkpointing: Annotated[bool, Setting("runtime", advanced=True)] = False
    """Recompute activations in the backward pass: less memory, slower steps."""

    log_interval: Annotated[int, Field(ge=0), Setting("output", advanced=True)] = 0
    """Steps between two points of the curves. 0: so that a run has at most 10,000 points."""
    eval_interval: Annotated[int, Field(ge=0), Setting("output", advanced=True)] = 0
    """Steps between two evaluations. 0: ten times a run."""
    save_interval: Annotated[int, Field(ge=0), Setting("output", advanced=True)] = 0
    """Steps between two checkpoints. 0: five times a run. The last step always gets one."""
    keep_checkpoints: Annotated[int, Field(ge=1, le=1000), Setting("output", advanced=True)] = 3
    """Newest checkpoints to keep; the best one is always kept too."""
    save_dir: Annotated[Path, Setting("output", advanced=True)] = "out"
    """Folder of task directories and of MiniMind .pth files."""
    save_weight: Annotated[
        str, Field(pattern=r"^([A-Za-z0-9][A-Za-z0-9._-]{0,63})?$"), Setting("output", advanced=True)
    ] = ""
    """Prefix of the MiniMind file out/{save_weight}_{hidden_size}.pth written at the end. Empty: no such file."""
    model_name: Annotated[str, Field(pattern=r"^([A-Za-z0-9][A-Za-z0-9._-]{0,63})?$"), Setting("output")] = ""
    """Registered model that the checkpoints become versions of. Empty: minimind-{type}."""

    @model_validator(mode="after")
    def _check_sizes(self) -> "TrainConfig":
        heads, kv_heads, hidden = self.num_attention_heads, self.num_key_value_heads, self.hidden_size
        if hidden % heads:
            raise FieldError(
                "hidden_size",
                "hidden_not_multiple",
                f"{hidden} is not a multiple of num_attention_heads {heads}; try {hidden // heads * heads or heads}.",
                hidden=hidden,
                heads=heads,
                suggestion=hidden // heads * heads or heads,
            )
        if hidden // heads % 2:
            raise FieldError(
                "hidden_size",
                "head_size_odd",
                f"{hidden} / {heads} heads gives head size {hidden // heads}; rotary positions need an even one.",
                hidden=hidden,
                heads=heads,
                head_size=hidden // heads,
            )
        if heads % kv_heads:
            raise FieldError(
                "num_key_value_heads",
                "kv_heads_not_divisor",
                f"{kv_heads} does not divide num_attention_heads {heads}.",
                kv_heads=kv_heads,
                heads=heads,
            )
        if self.use_moe and self.architecture == "v2":
            raise FieldError(
                "use_moe",
                "moe_needs_v3",
                "Mixture of experts needs architecture v3: MiniMind's v2 mixture has no Hugging Face class.",
            )
        if self.use_moe and self.num_experts_per_tok > self.num_experts:
            raise FieldError(
                "num_experts_per_tok",
                "too_many_experts_per_tok",
                f"{self.num_experts_per_tok} is more than num_experts {self.num_experts}.",
                per_tok=self.num_experts_per_tok,
                experts=self.num_experts,
            )
        return self

    @property
    def head_dim(self) -> int:
        """Size of one attention head."""
        return self.hidden_size // self.num_attention_heads

    @property
    def feed_forward_size(self) -> int:
        """`intermediate_size`, or MiniMind's rule when it is 0 (contract section 1)."""
        if self.intermediate_size:
            return self.intermediate_size
        if self.architecture == "v3":
            return math.ceil(self.hidden_size * math.pi / 64) * 64
        return 64 * math.ceil(int(8 * self.hidden_size / 3) / 64)

    @property
    def registered_name(self) -> str:
        """The registered model that checkpoints become versions of."""
        return self.model_name or f"minimind-{self.type}"


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


TRAINING_TYPES: dict[str, type[TrainConfig]] = {
    c.type: c for c in (PretrainConfig, SFTConfig, ReasonConfig, DistillConfig)
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
