"""MiniMind's models are transformers' classes: logits against MiniMind's own."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from trainer.bases import Base, build_model
from trainer.configs import parse_config
from trainer.errors import BaseModelError
from trainer.minimind_files import from_transformers, infer_sizes, read_pth, to_transformers, write_pth
from trainer.models import is_minimind, load_folder, load_pth, parameter_count, save_folder
from trainer.rope import YARN, is_yarn
from trainer.tokenization import load_tokenizer

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
    model = load(minimind, name)
    save_folder(model, load_tokenizer(str(minimind / "v3-dense" / "transformers-qwen3")), tmp_path / "export")
    ids = load_file(minimind / name / "reference.safetensors")["input_ids"]
    with torch.no_grad():
        assert torch.equal(load_folder(tmp_path / "export").eval()(ids).logits, model(ids).logits)
    config = json.loads((tmp_path / "export" / "config.json").read_text())
    assert config["rope_theta"] == 1e6, "transformers before 5 reads only this key"
    assert json.loads((tmp_path / "export" / "generation_config.json").read_text())["eos_token_id"] == 2


# YaRN ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FILES)
def test_longer_positions_are_those_of_minimind(minimind: Path, name: str) -> None:
    file, heads = FILES[name]
    reference = load_file(minimind / name / "reference.safetensors")
    model = load_pth(minimind / name / file, heads, yarn=True).eval()
    at = torch.tensor([[100]])
    for one, row in ((model, "yarn_freqs_cos_row100"), (load(minimind, name), "freqs_cos_row100")):
        cos, _ = one.model.rotary_emb(torch.zeros(1), at)  # type: ignore[union-attr]
        torch.testing.assert_close(cos[0, 0], reference[row], atol=1e-6, rtol=0)
    with torch.no_grad():
        logits = model(reference["input_ids"]).logits[..., reference["vocab_sample"]]
    torch.testing.assert_close(logits, reference["yarn_logits_sample"], atol=1e-4, rtol=0)
    assert (reference["yarn_logits_sample"] - reference["logits_sample"]).abs().max() > 0.1


@pytest.mark.parametrize("name", FILES)
def test_longer_positions_go_with_the_export(minimind: Path, tmp_path: Path, name: str) -> None:
    """A folder that older and newer transformers read alike: the older only know `rope_theta` and `rope_scaling`."""
    file, heads = FILES[name]
    model = load_pth(minimind / name / file, heads, yarn=True).eval()
    tokenizer = load_tokenizer(str(minimind / "v3-dense" / "transformers-qwen3"))
    folder = tmp_path / "export"
    save_folder(model, tokenizer, folder)
    reference = load_file(minimind / name / "reference.safetensors")

    def logits() -> torch.Tensor:
        with torch.no_grad():
            return load_folder(folder).eval()(reference["input_ids"]).logits[..., reference["vocab_sample"]]

    torch.testing.assert_close(logits(), reference["yarn_logits_sample"], atol=1e-4, rtol=0)
    config = json.loads((folder / "config.json").read_text())
    assert config["rope_theta"] == 1e6
    assert config["rope_scaling"] == YARN
    assert config["max_position_embeddings"] == 16 * config["rope_scaling"]["original_max_position_embeddings"]
    assert (config["bos_token_id"], config["eos_token_id"]) == (1, 2)
    del config["rope_parameters"]  # as an older version would have written it
    (folder / "config.json").write_text(json.dumps(config))
    torch.testing.assert_close(logits(), reference["yarn_logits_sample"], atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", FILES)
def test_plain_exports_have_no_scaling(minimind: Path, tmp_path: Path, name: str) -> None:
    save_folder(load(minimind, name), load_tokenizer(None), tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert not config.get("rope_scaling")
    del config["rope_parameters"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    again = load_folder(tmp_path).config
    assert (again.rope_parameters["rope_theta"], again.rope_parameters["rope_type"]) == (1e6, "default")


@pytest.mark.parametrize("kind", ["none", "pth", "folder"])
def test_the_setting_decides_the_positions_of_every_base(minimind: Path, tmp_path: Path, kind: str) -> None:
    tokenizer = load_tokenizer(str(minimind / "v3-dense" / "transformers-qwen3"))
    file = minimind / "v3-dense" / "full_sft_64.pth"
    save_folder(load_pth(file, yarn=True), tokenizer, tmp_path)
    path = {"none": None, "pth": file, "folder": tmp_path}[kind]
    for on in (True, False):
        sizes = {"hidden_size": 64, "num_hidden_layers": 2, "inference_rope_scaling": on}
        config = parse_config("pretrain", {"data_path": "x", **sizes})
        model = build_model(config, tokenizer, Base(kind, path))  # type: ignore[arg-type]
        assert is_yarn(model.config.to_dict()) == on
        assert is_minimind(model.config)


def test_positions_of_other_models_stay_theirs(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, LlamaConfig

    rope = YARN | {"factor": 4.0, "rope_theta": 10_000.0}
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    llama = LlamaConfig(**sizes, vocab_size=6400, rope_parameters=rope)
    AutoModelForCausalLM.from_config(llama).save_pretrained(tmp_path)
    assert load_folder(tmp_path, yarn=False).config.rope_parameters["factor"] == 4.0
    with pytest.raises(BaseModelError, match=r"inference_rope_scaling is made for MiniMind models.*llama"):
        load_folder(tmp_path, yarn=True)


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
