"""Settings of the training types that learn from rewards on what the model itself writes: GRPO, PPO and SPO."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from trainer.errors import FieldError
from trainer.reward_specs import DEFAULT_REWARDS, RewardList
from trainer.shared_config import MAX_POSITIONS, Path, Search, Setting, TrainConfig

NAME = r"^([A-Za-z0-9][A-Za-z0-9._-]{0,63})?$"


class RolloutConfig(TrainConfig):
    """What the types that learn from rewards share."""

    data_format = "rlaif"
    needs_base = True
    max_eval_rows: ClassVar[int] = 100
    ref_name: ClassVar[str] = "beta"
    """The setting that says how closely the model is kept to the reference."""
    has_critic: ClassVar[bool] = False
    """Whether a second model is trained beside."""

    data_path: Annotated[Path, Field(min_length=1), Setting("data", kind="dataset")]
    """Prompts: conversations whose last answer is left to the model, with the right answers in gt where a reward needs
    them; a file (.jsonl, .jsonl.gz, .jsonl.zst, .parquet), or a folder of such files."""
    max_seq_len: Annotated[int, Field(ge=8, le=MAX_POSITIONS), Setting("data")] = 768
    """Longest prompt in tokens. Longer ones are left out, and counted in the log."""
    unlabelled_rows: Annotated[Literal["skip", "refuse"], Setting("data", advanced=True)] = "skip"
    """Prompts that are longer than max_seq_len: skip them, counted in the log, or refuse the data."""
    system_prompt_ratio: Annotated[float, Field(ge=0, le=1), Setting("data", advanced=True)] = 0.2
    """Share of the prompts without a system message that get a random one, drawn anew each epoch."""
    from_weight: Annotated[Path, Setting("model", kind="weight")] = "full_sft"
    """Weights to start from, which can answer already: a registered model (models:/name/version), a Hugging Face
    folder, a MiniMind .pth file, or a MiniMind prefix such as full_sft (out/full_sft_768.pth). The model's sizes come
    from them when they tell them."""

    max_gen_len: Annotated[int, Field(ge=1, le=MAX_POSITIONS), Setting("rollout")] = 1024
    """Most tokens that the model writes for an answer; what is longer is cut, and its share is charted."""
    rollout_temperature: Annotated[float, Field(gt=0, le=10), Setting("rollout"), Search(0.5, 1.2)] = 0.8
    """How freely answers are drawn: low stays with the likeliest words, 1 is the model as it is. The probabilities that
    are learned from have the same temperature."""
    thinking_ratio: Annotated[float, Field(ge=0, le=1), Setting("rollout")] = 0.9
    """Share of the prompts after which the model is asked to think first; 0 for models that never learned to."""
    top_k: Annotated[int, Field(ge=0), Setting("rollout", advanced=True)] = 0
    """Draw from so many likeliest tokens only; 0 from all. Other than 0, the model learns from probabilities that it
    did not draw with; the difference is charted as rollout/logp_gap. MiniMind draws from 50."""
    top_p: Annotated[float, Field(gt=0, le=1), Setting("rollout", advanced=True)] = 1.0
    """Draw from the likeliest tokens that have this probability together; 1 from all. Below 1, as for top_k. MiniMind
    has 0.85."""
    samples_per_step: Annotated[int, Field(ge=0, le=1000), Setting("rollout", advanced=True)] = 8
    """Answers of each step that are kept to be looked at, with their rewards."""

    rewards: Annotated[RewardList, Setting("rewards", kind="rewards")] = DEFAULT_REWARDS
    """What an answer is rewarded for: a list of rewards, each with a weight; their weighted sum counts."""
    reward_errors: Annotated[Literal["stop", "skip"], Setting("rewards", advanced=True)] = "stop"
    """When a reward cannot be computed: stop, or leave that answer out."""

    epochs: Annotated[int, Field(ge=1, le=10_000), Setting("training"), Search(1, 4)] = 1
    """Passes over the prompts."""
    batch_size: Annotated[int, Field(ge=1, le=65_536), Setting("training"), Search(2, 64, log=True)] = 2
    """Prompts a forward pass. A step uses batch_size × accumulation_steps prompts, which are answered all at once."""
    learning_rate: Annotated[float, Field(gt=0, lt=1), Setting("training"), Search(1e-7, 1e-4, log=True)] = 3e-7
    """Peak learning rate; follows a cosine down to a tenth of it."""

    @model_validator(mode="after")
    def _check_rollouts(self) -> "RolloutConfig":
        if self.from_weight.strip() in ("", "none"):
            text = "Rewards improve a model that can answer already: choose one to start from."
            raise FieldError("from_weight", "rollouts_need_base", text)
        if self.sharded:
            raise FieldError("parallel", "rollouts_not_sharded", "Rollouts do not work with fsdp. Set it to ddp.")
        return self

    @property
    def answers_per_prompt(self) -> int:
        """How often a prompt is answered in a step."""
        return 1

    @property
    def has_reference(self) -> bool:
        """Whether the model that it starts from is kept beside, to stay close to."""
        return getattr(self, self.ref_name) > 0

    @property
    def truncated(self) -> bool:
        """Whether answers are drawn from some of the tokens only."""
        return self.top_k > 0 or self.top_p < 1


class GRPOConfig(RolloutConfig):
    """Group-relative policy optimisation: several answers to each prompt, and each is judged against the others of its
    group."""

    type = "grpo"
    title = "Group-relative policy optimisation (GRPO)"

    num_generations: Annotated[int, Field(ge=2, le=1024), Setting("rollout"), Search(4, 16)] = 6
    """Answers to each prompt. If all of a group get the same reward, nothing is learned from it."""
    loss_type: Annotated[Literal["cispo", "grpo"], Setting("training")] = "cispo"
    """cispo weighs each token by its capped change in probability, so that every token is learned from; grpo clips, so
    that tokens that changed a lot are not."""
    beta: Annotated[float, Field(ge=0, le=10), Setting("training"), Search(0.001, 0.3, log=True)] = 0.1
    """How closely the model is kept to where it starts; 0 not at all, which saves a second model in memory."""
    epsilon: Annotated[float, Field(gt=0, lt=1), Setting("training", advanced=True)] = 0.2
    """With grpo: how far a token's probability may change in one step, as a share, before it no longer counts."""
    epsilon_high: Annotated[float, Field(gt=0, le=100), Setting("training", advanced=True)] = 5.0
    """With cispo: most that a token's change in probability weighs."""
    advantage_norm: Annotated[Literal["group", "batch"], Setting("training", advanced=True)] = "group"
    """group: rewards are compared within the answers to a prompt, as in MiniMind v3; batch: and then brought to one
    scale over the whole step, as in v2."""
    save_weight: Annotated[str, Field(pattern=NAME), Setting("output", advanced=True)] = "grpo"
    """Prefix of the MiniMind file out/{save_weight}_{hidden_size}.pth written at the end. Empty: no such file."""

    @property
    def answers_per_prompt(self) -> int:
        """The size of a group."""
        return self.num_generations


class SPOConfig(RolloutConfig):
    """Single-stream policy optimisation: one answer to each prompt, judged against a running estimate of what the model
    usually gets."""

    type = "spo"
    title = "Single-stream policy optimisation (SPO)"

    accumulation_steps: Annotated[int, Field(ge=1, le=65_536), Setting("training"), Search(1, 16, log=True)] = 4
    """Batches whose gradients are added up for one step."""
    learning_rate: Annotated[float, Field(gt=0, lt=1), Setting("training"), Search(1e-7, 1e-4, log=True)] = 1e-7
    """Peak learning rate; follows a cosine down to a tenth of it."""
    beta: Annotated[float, Field(ge=0, le=10), Setting("training"), Search(0.001, 0.3, log=True)] = 0.02
    """How closely the model is kept to where it starts; 0 not at all, which saves a second model in memory."""
    save_weight: Annotated[str, Field(pattern=NAME), Setting("output", advanced=True)] = "spo"
    """Prefix of the MiniMind file out/{save_weight}_{hidden_size}.pth written at the end. Empty: no such file."""


class PPOConfig(RolloutConfig):
    """Proximal policy optimisation: a second model, the critic, learns what to expect, and each token is judged against
    that."""

    type = "ppo"
    title = "Proximal policy optimisation (PPO)"
    ref_name = "kl_coef"
    has_critic = True

    batch_size: Annotated[int, Field(ge=1, le=65_536), Setting("training"), Search(2, 64, log=True)] = 2
    """Prompts whose answers the critic judges at once. A step uses batch_size × accumulation_steps prompts, which are
    answered all at once."""
    accumulation_steps: Annotated[int, Field(ge=1, le=65_536), Setting("training"), Search(1, 16, log=True)] = 1
    """Multiplies the prompts of a step; no gradients are added up, mini_batch_size says how much an update uses."""
    critic_learning_rate: Annotated[float, Field(gt=0, lt=1), Setting("training"), Search(1e-7, 1e-3, log=True)] = 5e-7
    """Peak learning rate of the critic."""
    kl_coef: Annotated[float, Field(ge=0, le=10), Setting("training"), Search(0.001, 0.3, log=True)] = 0.02
    """How closely the model is kept to where it starts; 0 not at all, which saves a third model in memory."""
    ppo_update_iters: Annotated[int, Field(ge=1, le=100), Setting("training"), Search(1, 4)] = 2
    """Times that the answers of a step are learned from."""
    mini_batch_size: Annotated[int, Field(ge=1, le=65_536), Setting("training")] = 2
    """Answers that each of those updates uses."""
    early_stop_kl: Annotated[float, Field(ge=0, le=100), Setting("training", advanced=True)] = 0.25
    """Learn no more from the answers of a step once the model has moved this far from the one that wrote them; 0: never
    stop early."""
    clip_epsilon: Annotated[float, Field(gt=0, lt=1), Setting("training", advanced=True)] = 0.2
    """How far a token's probability may change, as a share, before it no longer counts."""
    vf_coef: Annotated[float, Field(ge=0, le=100), Setting("training", advanced=True)] = 0.5
    """Weight of the critic's loss."""
    cliprange_value: Annotated[float, Field(gt=0, le=100), Setting("training", advanced=True)] = 0.2
    """How far the critic's opinion may move in one step before it no longer counts."""
    gamma: Annotated[float, Field(gt=0, le=1), Setting("training", advanced=True)] = 1.0
    """What a reward is worth one token earlier."""
    lam: Annotated[float, Field(ge=0, le=1), Setting("training", advanced=True)] = 0.95
    """Between the critic's opinion (0) and the rewards themselves (1) as the measure of a token."""
    advantage_level: Annotated[Literal["token", "sequence"], Setting("training", advanced=True)] = "token"
    """token: each token is judged by itself, as in MiniMind v3; sequence: a whole answer at once, as in v2."""
    save_weight: Annotated[str, Field(pattern=NAME), Setting("output", advanced=True)] = "ppo_actor"
    """Prefix of the MiniMind file out/{save_weight}_{hidden_size}.pth written at the end. Empty: no such file."""
