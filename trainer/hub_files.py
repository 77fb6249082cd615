"""What `fetch` can bring from the Hugging Face hub: MiniMind's published data, weights and tokenizers.

for item in ITEMS.values():
    print(item.name, item.folder, item.found(home))

Names, sizes and licences are from MiniMind's README (commit d65ef2c, August 2026: "dataset download" and "Open-Sourced
Training Results"), its collection on the hub, and the data set's card. Sizes are about right; the hub tells the exact
ones when something is fetched.
"""

from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

DATA_REPO = "jingyaogong/minimind_dataset"
TORCH_REPO = "jingyaogong/minimind-3-pytorch"
HUB_FOLDER = "out/hub"
"""Where fetched weights and tokenizers go, below home."""
RECORD = ".fetched.json"
"""Written into the folder of a model or tokenizer when all of it is there."""
DATA_LICENCE = "Apache-2.0, CC-BY-NC-2.0"
"""The data set's card names both, without saying which file has which."""
WEIGHT_LICENCE = "Apache-2.0"

_MODEL_FILES = (
    "config.json", "generation_config.json", "*.safetensors", "model.safetensors.index.json", "tokenizer.json",
    "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "chat_template.jinja",
)  # fmt: skip
_TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja")


@dataclass(frozen=True)
class HubItem:
    """One thing that can be fetched."""

    name: str
    kind: str
    """data, weights or tokenizer."""
    repo: str
    patterns: tuple[str, ...]
    """Which files of the repository belong to it; one at the top that fits no pattern is left where it is."""
    folder: str
    """Where they go, below home."""
    bytes: int
    """About how large it is."""
    licence: str
    about: str
    """What it is, in a sentence."""
    format: str = ""
    """Data format, of data."""
    tokenizer: str = ""
    """The item with the tokenizer that it needs and does not bring itself."""

    @property
    def repo_type(self) -> str:
        """As the hub calls it."""
        return "dataset" if self.kind == "data" else "model"

    @property
    def path(self) -> str:
        """What to give to a training: the file, or the folder of a model. Below home."""
        return f"{self.folder}/{self.patterns[0]}" if len(self.patterns) == 1 else self.folder

    def found(self, home: Path) -> bool:
        """Whether it is there. Only a whole and verified file ever gets its name."""
        if self.tokenizer and not ITEMS[self.tokenizer].found(home):
            return False
        target = home / self.path
        return target.is_file() if len(self.patterns) == 1 else (target / RECORD).is_file()

    def part_bytes(self, home: Path) -> int:
        """Bytes of files of it that were begun and can go on; 0 if there are none."""
        folder = home / self.folder
        parts = [path for pattern in self.patterns for path in folder.glob(f".{pattern}.*.part")]
        return sum(path.stat().st_size for path in parts)


def _data(file: str, format: str, size: float, about: str) -> HubItem:  # noqa: A002 - as the field
    name = file.removesuffix(".jsonl")
    return HubItem(name, "data", DATA_REPO, (file,), "dataset", round(size * 1e6), DATA_LICENCE, about, format)


def _model(name: str, repo: str, size: float, about: str) -> HubItem:
    folder = f"{HUB_FOLDER}/{name}"
    return HubItem(name, "weights", repo, _MODEL_FILES, folder, round(size * 1e6), WEIGHT_LICENCE, about)


def _torch(name: str, file: str, size: float, about: str) -> HubItem:
    folder = f"{HUB_FOLDER}/minimind-3-pytorch"
    size = round(size * 1e6)
    return HubItem(
        name, "weights", TORCH_REPO, (file,), folder, size, WEIGHT_LICENCE, about, tokenizer="minimind-3-tokenizer"
    )


def _tokenizer(name: str, repo: str, about: str) -> HubItem:
    return HubItem(name, "tokenizer", repo, _TOKENIZER_FILES, f"{HUB_FOLDER}/{name}", 500_000, WEIGHT_LICENCE, about)


_ALL = (
    _data("pretrain_t2t_mini.jsonl", "pretrain", 1_200, "Pretraining texts, the small mix: enough for a first model."),
    _data("pretrain_t2t.jsonl", "pretrain", 10_000, "Pretraining texts, all of what minimind-3 has seen."),
    _data("sft_t2t_mini.jsonl", "sft", 1_600, "Conversations, the small mix, some with tool calls."),
    _data("sft_t2t.jsonl", "sft", 14_000, "Conversations, all of what minimind-3 has seen."),
    _data("lora_identity.jsonl", "sft", 0.023, "A few conversations about who the model is."),
    _data("lora_medical.jsonl", "sft", 34, "Medical questions and answers."),
    _data("lora_exam.jsonl", "sft", 20, "Multiple-choice questions in the form of common benchmarks."),
    _data("dpo.jsonl", "dpo", 53, "Pairs of a better and a worse answer."),
    _data("rlaif.jsonl", "rlaif", 24, "Prompts for reinforcement learning."),
    _data("agent_rl.jsonl", "rlaif", 86, "Prompts with tools over several turns, and the result to check."),
    _data("agent_rl_math.jsonl", "rlaif", 18, "Arithmetic with tools, and the result to check."),
    _model("minimind-3", "jingyaogong/minimind-3", 128, "64M parameters, fine-tuned, with its tokenizer."),
    _model("minimind-3-moe", "jingyaogong/minimind-3-moe", 397, "198M parameters in 4 experts, with its tokenizer."),
    _model("minimind2", "jingyaogong/MiniMind2", 208, "104M parameters of the older family, with its tokenizer."),
    _model("minimind2-small", "jingyaogong/MiniMind2-Small", 52, "26M parameters of the older family, with tokenizer."),
    _torch("minimind-3-pretrain-pth", "pretrain_768.pth", 137, "minimind-3 after pretraining, in MiniMind's own form."),
    _torch("minimind-3-sft-pth", "full_sft_768.pth", 137, "minimind-3 after fine-tuning, in MiniMind's own form."),
    _torch("minimind-3-moe-sft-pth", "full_sft_768_moe.pth", 407, "minimind-3-moe after fine-tuning, the same form."),
    _tokenizer("minimind-3-tokenizer", "jingyaogong/minimind-3", "6,400 entries; weights of minimind-3 need it."),
    _tokenizer("minimind2-tokenizer", "jingyaogong/MiniMind2", "6,400 entries; weights of MiniMind2 need it."),
)
ITEMS = {item.name: item for item in _ALL}
"""Everything that can be fetched, by name."""


def similar(name: str) -> list[str]:
    """Known names that may have been meant; a file's own name counts too."""
    wanted = name.lower().removesuffix(".jsonl").removesuffix(".pth")
    files = {item.patterns[0].removesuffix(".pth"): item.name for item in _ALL if item.patterns[0].endswith(".pth")}
    close = get_close_matches(wanted, [*ITEMS, *files], n=3, cutoff=0.5)
    inside = [known for known in ITEMS if len(wanted) > 2 and wanted in known]
    return list(dict.fromkeys(files.get(found, found) for found in [*close, *inside]))[:4]
