"""Weight files that others have made to do harm: read as data or refused, never run."""

import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from trainer.errors import BaseModelError
from trainer.minimind_files import MOST_TENSORS, read_pth
from trainer.state import STATE_DIR, load_state


class Evil:
    """Makes a file when it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.canary),)


def test_the_canary_sings(tmp_path: Path) -> None:
    """What the others must not let happen does happen where nothing prevents it."""
    pickle.loads(pickle.dumps(Evil(tmp_path / "ran")))
    assert (tmp_path / "ran").exists()


@pytest.mark.parametrize("form", ["zip", "before zip", "pickle"])
@pytest.mark.parametrize("place", ["alone", "among weights", "under model"])
@pytest.mark.fault("malicious weights")
def test_no_code_of_a_weight_file_runs(tmp_path: Path, form: str, place: str) -> None:
    path, canary = tmp_path / "full_sft_64.pth", tmp_path / "ran"
    weights: dict[str, Any] = {"model.norm.weight": torch.ones(4)}
    evil = Evil(canary)
    content = {"alone": evil, "among weights": weights | {"x": evil}, "under model": {"model": weights | {"x": evil}}}
    if form == "pickle":
        path.write_bytes(pickle.dumps(content[place]))
    else:
        torch.save(content[place], path, _use_new_zipfile_serialization=form == "zip")
    with pytest.raises(BaseModelError, match="cannot be read as a MiniMind weight file"):
        read_pth(path)
    assert not canary.exists()


@pytest.mark.fault("malicious weights")
def test_no_code_of_a_checkpoint_runs(make_loop: Any, tmp_path: Path) -> None:
    loop = make_loop(max_steps=2, save_interval=1)
    loop.run()
    folder = loop.checkpoints.all()[-1].path
    saved = torch.load(folder / STATE_DIR / "optimizer.pt", weights_only=True)
    torch.save(saved | {"own": Evil(tmp_path / "ran")}, folder / STATE_DIR / "optimizer.pt")
    with pytest.raises(pickle.UnpicklingError, match="weights_only"):
        load_state(loop, folder)
    assert not (tmp_path / "ran").exists()


@pytest.mark.fault("malicious weights")
def test_a_file_that_grows_when_it_is_unpacked_is_refused(tmp_path: Path) -> None:
    plain, bomb = tmp_path / "plain.pth", tmp_path / "bomb.pth"
    torch.save({"model.norm.weight": torch.zeros(1_000_000)}, plain)
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as packed:
        for name in source.namelist():
            packed.writestr(name, source.read(name))
    assert bomb.stat().st_size < plain.stat().st_size / 100
    assert read_pth(plain)["model.norm.weight"].numel() == 1_000_000
    with pytest.raises(BaseModelError, match="is compressed"):
        read_pth(bomb)


@pytest.mark.fault("malicious weights")
def test_a_tensor_that_is_larger_than_its_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "wide.pth"
    torch.save({"model.embed_tokens.weight": torch.zeros(1).expand(10**9, 10**6)}, path)
    assert path.stat().st_size < 10_000
    with pytest.raises(BaseModelError, match="larger than what the file holds"):
        read_pth(path)


@pytest.mark.fault("malicious weights")
def test_names_in_an_archive_lead_nowhere(tmp_path: Path) -> None:
    home = tmp_path / "a" / "b"
    home.mkdir(parents=True)
    path = home / "weights.pth"
    torch.save({"model.norm.weight": torch.ones(4)}, path)
    with zipfile.ZipFile(path, "a") as archive:
        for name in ("../up.txt", "../../up.txt", str(tmp_path / "absolute.txt")):
            archive.writestr(name, b"x")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(BaseModelError, match="not in a subdirectory"):
        read_pth(path)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.fault("malicious weights")
def test_a_file_of_very_many_tensors_is_refused(tmp_path: Path, shared: bool) -> None:
    path, one = tmp_path / "many.pth", torch.zeros(1)
    torch.save({f"t{number}": one if shared else torch.zeros(1) for number in range(MOST_TENSORS + 1)}, path)
    with pytest.raises(BaseModelError, match="more than any MiniMind model"):
        read_pth(path)
