"""Which paths a person may name, and which not, however they are written."""

import os
from pathlib import Path

import pytest

from minimind_platform.errors import NotFoundError, PathError
from minimind_platform.paths import Paths
from minimind_platform.settings import Settings


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "home"
    (home / "dataset" / "sub").mkdir(parents=True)
    (home / "out" / "model").mkdir(parents=True)
    (home / "mlruns").mkdir()
    (home / "dataset" / "a.jsonl").write_text("{}\n")
    (home / "dataset" / "sub" / "中文 名.jsonl").write_text("{}\n")
    (home / "out" / "pretrain_64.pth").write_bytes(b"x")
    (home / "mlruns" / "app.db").write_bytes(b"x")
    (home / "secret.txt").write_text("x")
    (tmp_path / "dataset-evil").mkdir()
    (tmp_path / "dataset-evil" / "b.jsonl").write_text("{}\n")
    (tmp_path / "roots").mkdir()
    (tmp_path / "roots" / "c.jsonl").write_text("{}\n")
    (home / "dataset" / "inner.jsonl").symlink_to(home / "dataset" / "a.jsonl")
    (home / "dataset" / "leak.jsonl").symlink_to("/etc/passwd")
    (home / "dataset" / "leakdir").symlink_to("/etc")
    (home / "dataset" / "updir").symlink_to(home)
    (home / "dataset" / "circle").symlink_to(home / "dataset" / "circle")
    os.mkfifo(home / "dataset" / "pipe.jsonl")
    return home


@pytest.fixture
def paths(home: Path) -> Paths:
    return Paths(Settings(home=home, data_roots=(str(home.parent / "roots"),)))


@pytest.mark.parametrize(
    "text",
    [
        "dataset/a.jsonl",
        "a.jsonl",
        "./dataset/a.jsonl",
        "dataset//a.jsonl",
        "dataset/./a.jsonl",
        "sub/中文 名.jsonl",
        "dataset/inner.jsonl",
        "out/pretrain_64.pth",
        "{home}/dataset/a.jsonl",
        "{root}/c.jsonl",
    ],
)
def test_files_in_the_roots_are_found(text, home, paths):
    found = paths.file(text.format(home=home, root=home.parent / "roots"))
    assert found.is_absolute()
    assert found.is_file()


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "..",
        "../x.jsonl",
        "dataset/../secret.txt",
        "dataset/../dataset/a.jsonl",
        "dataset/../../etc/passwd",
        "dataset/sub/../../../../etc/passwd",
        "/etc/passwd",
        "//etc/passwd",
        "/etc/../etc/passwd",
        "/proc/self/environ",
        "/proc/self/root/etc/passwd",
        "/dev/zero",
        "/dev/stdin",
        "secret.txt",
        "mlruns/app.db",
        "{home}",
        "{home}/secret.txt",
        "{home}/mlruns/app.db",
        "{home}-evil/b.jsonl",
        "{parent}/dataset-evil/b.jsonl",
        "dataset",
        "dataset/leak.jsonl",
        "dataset/leakdir/passwd",
        "dataset/updir/secret.txt",
        "dataset/pipe.jsonl",
        "dataset/sub",
        "dataset\\a.jsonl",
        "..\\..\\etc\\passwd",
        "dataset/%2e%2e/secret.txt",
        "dataset/%2E%2E%2Fsecret.txt",
        "%2fetc%2fpasswd",
        "dataset/a.jsonl%00",
        "dataset/a.jsonl\0",
        "dataset/a.jsonl\0.txt",
        "dataset/a\n.jsonl",
        "\x1b[31mdataset/a.jsonl",
        "~/x.jsonl",
        "~root/x.jsonl",
        "file:///etc/passwd",
        "file:/etc/passwd",
        "http://example.com/a.jsonl",
        "s3://bucket/a.jsonl",
        "dataset/\udcff.jsonl",
    ],
)
@pytest.mark.fault("malicious path")
def test_everything_else_is_refused(text, home, paths):
    with pytest.raises(PathError):
        paths.file(text.format(home=home, parent=home.parent) if "{" in text else text)


@pytest.mark.parametrize("text", ["dataset/none.jsonl", "none.jsonl", "dataset/circle", "dataset/" + "x" * 300])
def test_a_missing_file_is_called_missing(text, paths):
    with pytest.raises(NotFoundError):
        paths.file(text)


def test_the_way_out_names_what_is_there(paths):
    with pytest.raises(NotFoundError) as caught:
        paths.file("dataset/b.jsonl")
    assert "a.jsonl" in caught.value.hint


@pytest.mark.fault("malicious path")
def test_a_refusal_does_not_tell_whether_the_file_exists(paths):
    messages = []
    for text in ("/etc/passwd", "/etc/no-such-file"):
        with pytest.raises(PathError) as caught:
            paths.file(text)
        messages.append(str(caught.value).replace(text, ""))
    assert messages[0] == messages[1]


def test_a_linked_root_is_followed(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "a.jsonl").write_text("{}\n")
    home = tmp_path / "home"
    home.mkdir()
    (home / "dataset").symlink_to(tmp_path / "disk")
    assert Paths(Settings(home=home)).file("dataset/a.jsonl") == tmp_path / "disk" / "a.jsonl"


@pytest.mark.fault("malicious path")
def test_a_folder_of_data_must_not_lead_outside_by_its_files(home, paths):
    assert paths.data("dataset/sub") == home / "dataset" / "sub"
    assert paths.data("dataset/a.jsonl") == paths.file("dataset/a.jsonl")
    (home / "dataset" / "sub" / "in.parquet").symlink_to(home / "dataset" / "a.jsonl")
    assert paths.data("dataset/sub") == home / "dataset" / "sub"
    (home / "dataset" / "sub" / "leak.jsonl.gz").symlink_to(home / "secret.txt")
    with pytest.raises(PathError, match=r"leak\.jsonl\.gz in the folder 'dataset/sub' is a link that leads outside"):
        paths.data("dataset/sub")


@pytest.mark.parametrize(
    "text", ["dataset", "dataset/leakdir", "dataset/updir", "dataset/../mlruns", "/etc", "dataset/pipe.jsonl"]
)
def test_folders_outside_are_no_data(text, paths):
    with pytest.raises(PathError):
        paths.data(text)
