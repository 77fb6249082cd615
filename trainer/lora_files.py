"""MiniMind's LoRA files: `out/{name}_{hidden}{_moe}.pth` of v3 (half), `out/lora/{name}_{hidden}.pth` of v2 (float32).
A dict of `{module}.lora.A.weight` and `{module}.lora.B.weight` for every square linear layer, with y = Wx + B(A(x)) and
no scale (contract section 2).

    write_tensors(lora_state(adapters, scale, squares, RANKS["v3"]), path)
    model = merge_lora(model, read_pth(path), path)
"""

from pathlib import Path
from typing import Any

import torch

from trainer.errors import BaseModelError

State = dict[str, torch.Tensor]
RANKS = {"v3": 16, "v2": 8}
"""The rank that MiniMind's scripts make room for; it is no option there."""
_A, _B = ".lora.A.weight", ".lora.B.weight"


def is_lora(state: State) -> bool:
    """Whether the tensors of a MiniMind file are adapters."""
    return bool(state) and all(name.endswith((_A, _B)) for name in state)


def merge_lora(model: Any, state: State, path: Path) -> Any:
    """Add the adapters of a MiniMind LoRA file to the weights of a model in float32: W + B · A.

    Raises:
        BaseModelError: they are not of this model.
    """
    modules = dict(model.named_modules())
    if not is_lora(state):
        raise BaseModelError(f"{path} is no MiniMind LoRA file: it has other tensors than A and B of adapters.")
    with torch.no_grad():
        for name in sorted({key.removesuffix(_A).removesuffix(_B) for key in state}):
            a, b, layer = state.get(name + _A), state.get(name + _B), modules.get(name)
            if a is None or b is None or not isinstance(layer, torch.nn.Linear):
                raise BaseModelError(
                    f"{path} does not fit the base: {name} is missing.", "Name the base it belongs to."
                )
            if (b.shape[0], a.shape[1]) != tuple(layer.weight.shape) or a.shape[0] != b.shape[1]:
                have, want = f"{b.shape[0]} × {a.shape[1]}", " × ".join(map(str, layer.weight.shape))
                raise BaseModelError(
                    f"{path} does not fit the base: {name} is {have} there, {want} here.",
                    "Name the base it belongs to.",
                )
            layer.weight += b.float() @ a.float()
    return model


def lora_state(
    adapters: dict[str, tuple[torch.Tensor, torch.Tensor]], scale: float, squares: dict[str, int], rank: int
) -> State:
    """Adapters as MiniMind stores them: in every square layer, of its rank, with the scale in B.

    Args:
        adapters: A [r, size] and B [size, r] by module.
        scale: factor on what the adapters add.
        squares: every square linear layer and its size; those without adapter get one that adds nothing, because
            MiniMind expects all of them.
        rank: smaller adapters are filled up with zeros to this rank, larger ones stay as they are.
    """
    state: State = {}
    widest = max([rank, *(a.shape[0] for a, _ in adapters.values())])
    for name, size in squares.items():
        a, b = torch.zeros(widest, size), torch.zeros(size, widest)
        if name in adapters:
            own_a, own_b = (t.detach().float().cpu() for t in adapters[name])
            a[: own_a.shape[0]], b[:, : own_b.shape[1]] = own_a, own_b * scale
        state[name + _A], state[name + _B] = a.half(), b.half()
    return state
