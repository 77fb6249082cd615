"""The settings that every training type shares, and how a setting says where it belongs in a form and what a sweep may
propose. The training types themselves are in `configs.py`.
"""

import math
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from trainer.errors import FieldError


@dataclass(frozen=True)
class Setting:
    """Where a field belongs in a form."""

    group: Literal["data", "model", "rollout", "rewards", "training", "runtime", "care", "output"]
    advanced: bool = False
    kind: Literal["", "dataset", "weight", "device", "rewards"] = ""
    """What is picked from: a data file, base weights, a device, rewards; "" for a plain value."""


@dataclass(frozen=True)
class Search:
    """The range that a sweep proposes for a field."""

    low: float
    high: float
    log: bool = False
    step: float = 0
    """Distance of the values from low on; 0 for any value."""


Path = Annotated[str, Field(max_length=4096)]
Watched = Setting("care", advanced=True)
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
    max_eval_rows: ClassVar[int] = 1000
    """Rows held out at most: evaluation must stay a small part of a run."""
    needs_base: ClassVar[bool] = False
    """Whether from_weight cannot be none."""
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
    hidden_size: Annotated[int, Field(ge=8, le=8192), Setting("model"), Search(128, 1024, step=64)] = 768
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
    """AdamW weight decay, on all trained parameters as in MiniMind."""
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
    num_processes: Annotated[int, Field(ge=1, le=1024), Setting("runtime", advanced=True)] = 1
    """Processes that share the rows of each batch: one a GPU, or any number up to the cores on the CPU. The training
    stays the same whatever it is; MiniMind's batch_size counts for each process, here it is that of all together. The
    load-balancing loss of a mixture of experts is that of each process's rows."""
    parallel: Annotated[Literal["ddp", "fsdp"], Setting("runtime", advanced=True)] = "ddp"
    """With several processes: ddp has the whole model in each, fsdp a shard of its weights and of its optimizer, for a
    model that does not fit one GPU."""

    retry_lost: Annotated[bool, Setting("care", advanced=True)] = True
    """When its process is lost or killed, or the disk is full, go on from the last good checkpoint after a pause; at
    most as often as MINIMIND_MAX_RESTARTS says."""
    retry_out_of_memory: Annotated[bool, Setting("care", advanced=True)] = True
    """When memory does not suffice, go on from the last good checkpoint with half the batch_size and twice the
    accumulation_steps: each step has the same rows, so it trains the same. Again if need be, down to one row."""
    retry_diverged: Annotated[bool, Setting("care", advanced=True)] = True
    """When the loss becomes NaN or infinite, go on from the last good checkpoint at half the learning rate, once. Not
    in a trial of a sweep, whose learning rate is its own."""

    watch_nan: Annotated[Literal["off", "mark", "notify"], Watched] = "notify"
    """The loss is NaN or infinite: leave a mark in the record and the charts, and notify people too, on the task's page
    and by the webhook of the settings. What becomes of the training is up to nan_policy."""
    watch_loss_spike: Annotated[Literal["off", "mark", "notify", "save", "stop"], Setting("care", advanced=True)] = (
        "notify"
    )
    """The loss rises far above what it was and stays there for five records. Save and stop notify too; save writes a
    checkpoint at once, stop saves and ends, to be resumed. Not where a model learns from rewards."""
    watch_stalled_step: Annotated[Literal["off", "mark", "notify", "stop"], Watched] = "notify"
    """A step takes ten times as long as the others, and at least a minute. Stop: when that step is over."""
    watch_no_progress: Annotated[Literal["off", "mark", "notify", "stop"], Watched] = "notify"
    """A running training records nothing new for ten minutes, or twenty times as long as usual; the scheduler sees that
    from outside. Stop: it is killed after the grace if it does not answer."""
    watch_idle_gpu: Annotated[Literal["off", "mark", "notify", "stop"], Watched] = "notify"
    """The GPU has nothing to do for five minutes."""
    watch_slow_data: Annotated[Literal["off", "mark", "notify", "stop"], Watched] = "notify"
    """Half of the time or more goes into fetching rows."""
    watch_low_disk: Annotated[Literal["off", "mark", "notify", "stop"], Watched] = "notify"
    """The disk has room for few more checkpoints, or a checkpoint was skipped for lack of it."""

    log_interval: Annotated[int, Field(ge=0), Setting("output", advanced=True)] = 0
    """Steps between two points of the curves. 0: so that a run has at most 10,000 points."""
    eval_interval: Annotated[int, Field(ge=0), Setting("output", advanced=True)] = 0
    """Steps between two evaluations. 0: ten times a run."""
    save_interval: Annotated[int, Field(ge=0), Setting("output", advanced=True)] = 0
    """Steps between two checkpoints. 0: five times a run. The last step always gets one."""
    keep_checkpoints: Annotated[int, Field(ge=1, le=1000), Setting("output", advanced=True)] = 3
    """Newest checkpoints to keep; the best one is always kept too."""
    keep_best: Annotated[int, Field(ge=1, le=1000), Setting("output", advanced=True)] = 1
    """Best checkpoints to keep: those with the lowest loss or the highest reward, held out where there is such data."""
    keep_every: Annotated[int, Field(ge=0), Setting("output", advanced=True)] = 0
    """Checkpoints whose step is a multiple of this stay for good. 0: none. See save_interval for when there are any."""
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

    @model_validator(mode="after")
    def _check_processes(self) -> "TrainConfig":
        count, rows, device = self.num_processes, self.batch_size, self.device
        if count > rows:
            text = f"{count} processes cannot share the {rows} rows of a batch. Raise batch_size or lower it."
            raise FieldError("num_processes", "more_than_rows", text, processes=count, rows=rows)
        if count > 1 and ":" in device:
            text = f"{device} is one GPU, and num_processes is {count}. Set device to cuda or auto."
            raise FieldError("device", "one_gpu", text, device=device, processes=count)
        if self.sharded and (self.compile or self.dtype == "float16"):
            name, way = ("compile", "false") if self.compile else ("dtype", "bfloat16")
            raise FieldError(
                name, "not_sharded", f"This does not work with parallel fsdp. Set {name} to {way}.", way=way
            )
        return self

    @property
    def sharded(self) -> bool:
        """Whether each process holds only a part of the model."""
        return self.parallel == "fsdp" and self.num_processes > 1

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
