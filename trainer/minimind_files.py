"""MiniMind's own weight files: `out/{prefix}_{hidden}{_moe}.pth`, a pickled dict of half-precision tensors with no
word on the sizes (contract sections 1 and 2). The sizes are read off the tensor shapes.

    state = read_pth(Path("out/full_sft_768.pth"))
    sizes = infer_sizes(state)
"""

import os
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from trainer.errors import BaseModelError

State = dict[str, torch.Tensor]
MOST_TENSORS = 20_000
"""Of a file; the largest of MiniMind's have hundreds."""
_LAYER = re.compile(r"^model\.layers\.(\d+)\.")
_EXPERT = re.compile(r"^(model\.layers\.\d+\.mlp\.experts)\.(\d+)\.(gate|up|down)_proj\.weight$")


@dataclass(frozen=True)
class Sizes:
    """Sizes that a weight file tells."""

    architecture: str
    vocab_size: int
    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    intermediate_size: int
    num_experts: int
    """0 for a dense model."""


def read_pth(path: Path) -> State:
    """Read a MiniMind weight file without running any code from it.

    Raises:
        BaseModelError: the file is missing, damaged, or holds something else.
    """
    if not path.is_file():
        raise BaseModelError(f"There is no weight file {path}.", "Train that stage first, or choose another base.")
    _refuse_bombs(path)
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises half a dozen kinds for damaged files; each means the same here
        raise BaseModelError(
            f"{path} cannot be read as a MiniMind weight file ({_first_line(error)}).",
            "It may be damaged or only partly copied; copy or export it again.",
        ) from error
    if isinstance(state, dict) and isinstance(state.get("model"), dict):
        state = state["model"]  # MiniMind's resume files keep the weights under this key
    if not isinstance(state, dict) or not all(isinstance(v, torch.Tensor) for v in state.values()):
        raise BaseModelError(f"{path} holds no weights: expected a dict of tensors.")
    if len(state) > MOST_TENSORS:
        raise BaseModelError(f"{path} holds {len(state):,} tensors, more than any MiniMind model. Do not use it.")
    larger = [name for name, t in state.items() if t.numel() * t.element_size() > t.untyped_storage().nbytes()]
    if larger:
        raise BaseModelError(f"{path} says that {larger[0]} is larger than what the file holds of it. Do not use it.")
    return {_plain(name): tensor for name, tensor in state.items()}


def _refuse_bombs(path: Path) -> None:
    """PyTorch never compresses what it writes, and unpacks what others have compressed: a megabyte to gigabytes. A
    million small parts would take as much.

    Raises:
        BaseModelError: the file is compressed, or has too many parts.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            inside = archive.infolist()
            packed = [i.filename for i in inside if i.compress_type != zipfile.ZIP_STORED]
    except (zipfile.BadZipFile, OSError):
        return  # of the form before zip, or damaged; reading it tells
    if packed:
        raise BaseModelError(f"{path} is compressed ({packed[0]}), as no weight file is. Do not use it.")
    if len(inside) > MOST_TENSORS:
        raise BaseModelError(f"{path} holds {len(inside):,} parts, more than any MiniMind model. Do not use it.")


def infer_sizes(state: State, heads: int = 8) -> Sizes:
    """Read the sizes off the tensor shapes.

    Args:
        state: tensors by MiniMind's names.
        heads: number of attention heads to assume for v2, whose files do not tell it (MiniMind always has 8).

    Raises:
        BaseModelError: names or shapes are not MiniMind's.
    """
    try:
        vocab, hidden = state["model.embed_tokens.weight"].shape
        q = state["model.layers.0.self_attn.q_proj.weight"].shape[0]
        k = state["model.layers.0.self_attn.k_proj.weight"].shape[0]
        norm = state.get("model.layers.0.self_attn.q_norm.weight")
        head_dim = norm.shape[0] if norm is not None else q // heads
        gate = state.get("model.layers.0.mlp.gate_proj.weight")
        experts = 0 if gate is not None else state["model.layers.0.mlp.gate.weight"].shape[0]
        if any(".mlp.shared_experts." in name for name in state):
            raise BaseModelError(
                "This is a MiniMind v2 mixture-of-experts weight, which has no Hugging Face class.",
                "Use a dense v2 weight or a v3 weight.",
            )
        inner = gate if gate is not None else state["model.layers.0.mlp.experts.0.gate_proj.weight"]
    except KeyError as error:
        raise BaseModelError(f"These are no MiniMind weights: {error.args[0]} is missing.") from None
    layers = 1 + max(int(m.group(1)) for m in map(_LAYER.match, state) if m)
    return Sizes(
        architecture="v3" if norm is not None else "v2",
        vocab_size=vocab,
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=q // head_dim,
        num_key_value_heads=k // head_dim,
        head_dim=head_dim,
        intermediate_size=inner.shape[0],
        num_experts=experts,
    )


def to_transformers(state: State) -> State:
    """MiniMind's names to those of transformers' classes: experts of a layer become two stacked tensors."""
    result: State = {}
    experts: dict[str, dict[tuple[str, int], torch.Tensor]] = {}
    for name, tensor in state.items():
        match = _EXPERT.match(name)
        if match:
            experts.setdefault(match.group(1), {})[match.group(3), int(match.group(2))] = tensor.float()
        elif not name.endswith("freqs_cos") and not name.endswith("freqs_sin"):
            result[name] = tensor.float()
    for prefix, parts in experts.items():
        count = 1 + max(index for _, index in parts)
        both = [torch.cat([parts["gate", e], parts["up", e]]) for e in range(count)]
        result[f"{prefix}.gate_up_proj"] = torch.stack(both)
        result[f"{prefix}.down_proj"] = torch.stack([parts["down", e] for e in range(count)])
    return result


def from_transformers(state: State) -> State:
    """The reverse of `to_transformers`, in half precision, with the tied embedding stored twice as MiniMind does."""
    result: State = {}
    for name, tensor in state.items():
        if name.endswith(".mlp.experts.gate_up_proj"):
            prefix = name.removesuffix(".gate_up_proj")
            for e, (gate, up) in enumerate(t.chunk(2) for t in tensor):
                result[f"{prefix}.{e}.gate_proj.weight"] = _half(gate)
                result[f"{prefix}.{e}.up_proj.weight"] = _half(up)
        elif name.endswith(".mlp.experts.down_proj"):
            prefix = name.removesuffix(".down_proj")
            for e, down in enumerate(tensor):
                result[f"{prefix}.{e}.down_proj.weight"] = _half(down)
        else:
            result[name] = _half(tensor)
    result.setdefault("lm_head.weight", result["model.embed_tokens.weight"].clone())
    return result


def write_pth(state: State, path: Path) -> None:
    """Write a MiniMind weight file; a crash leaves the old file or the new one, never half of one.

    Args:
        state: tensors by the names of transformers' classes.
        path: the file, in the MiniMind form `{prefix}_{hidden}{_moe}.pth`.
    """
    write_tensors(from_transformers(state), path)


def write_tensors(state: State, path: Path) -> None:
    """Write tensors under the names that they have, as safely as `write_pth`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _half(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.detach().to(device="cpu", dtype=torch.float16, copy=True).contiguous()


def _plain(name: Any) -> str:
    return str(name).removeprefix("_orig_mod.").removeprefix("module.")


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
