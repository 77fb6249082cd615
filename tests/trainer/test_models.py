"""MiniMind's models are transformers' classes: logits against MiniMind's own."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from trainer.errors import BaseModelError
from trainer.minimind_files import from_transformers, infer_sizes, read_pth, to_transformers, write_pth
from trainer.models import load_folder, load_pth, parameter_count, save_folder

FILES = {
    "v3-dense": ("full_sft_64.pth", 8),
    "v3-moe": ("full_sft_32_moe.pth", 4),
    "v2-dense": ("full_sft_32.pth", 4),
}


def load(minimind: Path, name: str) -> torch.nn.Module:
    file, heads = FILES[name]
    return load_pth(minimind / name / file, heads).eval()


@pytest.mark.parametrize("name", FILES)
def test_logits_equal_minimind(minimind: Path, name: str) -> None:
    model, reference = load(minimind, name), load_file(minimind / name / "reference.safetensors")
    with torch.no_grad():
        logits = model(reference["input_ids"]).logits
    torch.testing.assert_close(logits[..., reference["vocab_sample"]], reference["logits_sample"], atol=1e-4, rtol=0)
    torch.testing.assert_close(logits[:, -1], reference["logits_last_full"], atol=1e-4, rtol=0)
    torch.testing.assert_close(logits.logsumexp(-1), reference["logsumexp"], atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", FILES)
def test_sizes_are_read_off_the_file(minimind: Path, name: str) -> None:
    file, heads = FILES[name]
    expected = json.loads((minimind / name / "config.json").read_text())
    sizes = infer_sizes(read_pth(minimind / name / file), heads)
    assert sizes.architecture == name[:2]
    assert sizes.hidden_size == expected["hidden_size"]
    assert sizes.num_hidden_layers == expected["num_hidden_layers"]
    assert sizes.num_attention_heads == expected["num_attention_heads"]
    assert sizes.num_key_value_heads == expected["num_key_value_heads"]
    assert sizes.intermediate_size == expected["intermediate_size"]
    assert bool(sizes.num_experts) == expected["use_moe"]


@pytest.mark.parametrize("name", FILES)
def test_parameters_are_counted_once(minimind: Path, name: str) -> None:
    expected = json.loads((minimind / name / "expected.json").read_text())
    assert parameter_count(load(minimind, name)) == expected["n_params"]


@pytest.mark.parametrize("name", FILES)
def test_files_go_out_and_come_back_bit_for_bit(minimind: Path, tmp_path: Path, name: str) -> None:
    file, _ = FILES[name]
    original = read_pth(minimind / name / file)
    path = tmp_path / file
    write_pth(load(minimind, name).state_dict(), path)
    again = read_pth(path)
    assert again.keys() == original.keys()
    assert all(torch.equal(again[key], original[key]) and again[key].dtype == torch.float16 for key in original)


@pytest.mark.parametrize("name", FILES)
def test_exported_folder_loads_in_transformers_with_equal_logits(minimind: Path, tmp_path: Path, name: str) -> None:
    from trainer.tokenization import load_tokenizer

    model = load(minimind, name)
    save_folder(model, load_tokenizer(str(minimind / "v3-dense" / "transformers-qwen3")), tmp_path / "export")
    ids = load_file(minimind / name / "reference.safetensors")["input_ids"]
    with torch.no_grad():
        assert torch.equal(load_folder(tmp_path / "export").eval()(ids).logits, model(ids).logits)
    config = json.loads((tmp_path / "export" / "config.json").read_text())
    assert config["rope_theta"] == 1e6, "transformers before 5 reads only this key"
    assert json.loads((tmp_path / "export" / "generation_config.json").read_text())["eos_token_id"] == 2


def test_experts_are_stacked_and_unstacked(minimind: Path) -> None:
    original = read_pth(minimind / "v3-moe" / "full_sft_32_moe.pth")
    back = from_transformers(to_transformers(original))
    assert back.keys() == original.keys()
    assert all(torch.equal(back[key], original[key]) for key in original)


def test_v2_mixture_of_experts_is_refused(minimind: Path) -> None:
    with pytest.raises(BaseModelError, match="v2 mixture-of-experts"):
        load_pth(minimind / "v2-moe" / "full_sft_32_moe.pth")


@pytest.mark.parametrize("damage", ["empty", "truncated", "text"])
def test_damaged_files_are_refused_by_name(minimind: Path, tmp_path: Path, damage: str) -> None:
    whole = (minimind / "v3-dense" / "full_sft_64.pth").read_bytes()
    path = tmp_path / "full_sft_64.pth"
    path.write_bytes({"empty": b"", "truncated": whole[: len(whole) // 2], "text": b"not a weight"}[damage])
    with pytest.raises(BaseModelError, match=r"full_sft_64\.pth"):
        load_pth(path)


def test_code_in_a_weight_file_never_runs(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path.touch, (tmp_path / "ran",))  # type: ignore[return-value]

    path = tmp_path / "evil.pth"
    torch.save({"model.embed_tokens.weight": Evil()}, path)
    with pytest.raises(BaseModelError):
        load_pth(path)
    assert not (tmp_path / "ran").exists()
