"""The trash: bytes of files with several names, what settings name, the lines of its list, its command."""

import os
from pathlib import Path

import pytest
from stored import add

from minimind_platform import Platform, cli
from minimind_platform.errors import ConflictError, NotFoundError, TrackingUnavailableError
from minimind_platform.tasks import State
from minimind_platform.trash.references import References, named
from minimind_platform.trash.sizes import freed, measure, weight_files
from minimind_platform.trash.store import TrashStore

A, B = "a" * 32, "b" * 32


def test_a_file_with_several_names_counts_once_and_only_when_all_of_them_go(tmp_path: Path) -> None:
    task, artifacts, clone = tmp_path / "task", tmp_path / "artifacts", tmp_path / "clone"
    for folder in (task, artifacts, clone):
        folder.mkdir()
    (task / "weights").write_bytes(b"w" * 40_960)
    os.link(task / "weights", artifacts / "weights")
    (task / "log.txt").write_bytes(b"l" * 8_192)
    assert measure([task, artifacts, tmp_path / "missing"]).bytes == 49_152
    os.link(task / "weights", clone / "weights")
    parts = [measure([task, artifacts]), measure([clone])]
    assert [part.bytes for part in parts] == [8_192, 0]
    assert freed(parts) == 49_152
    assert freed(parts[:1]) == 8_192


def test_a_minimind_file_belongs_to_the_task_that_wrote_it_last(tmp_path: Path) -> None:
    for name, times in (("mine", (1, 2)), ("taken", (3, 2)), ("other", (1, 2))):
        for suffix, at in zip((".pth", ".json"), times, strict=True):
            path = tmp_path / f"{name}_64{suffix}"
            path.write_text(f'{{"task": "{B if name == "other" else A}"}}')
            os.utime(path, (at, at))
    (tmp_path / "gone_64.json").write_text(f'{{"task": "{A}"}}')
    (tmp_path / "broken.json").write_text("{")
    found = [path.name for path in weight_files(tmp_path)[A]]
    assert sorted(found) == ["gone_64.json", "mine_64.json", "mine_64.pth"]


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (f'"models:/m-{A[:4]}/3"', f"models:/m-{A[:4]}/3"),
        (f'"/home/out/{A}/checkpoints/step_000100"', A),
        ('"/home/out/full_sft_768.pth"', "/home/out/full_sft_768.pth"),
        (f'[{{"model": "/mlruns/artifacts/1/{A}/artifacts/x"}}]', A),
        ('"models:/m/31"', "models:/m/31"),
    ],
)
def test_what_settings_name_is_found_wherever_it_stands(value: str, name: str) -> None:
    assert name in named(f'{{"from_weight": {value}, "epochs": 1, "eval_fraction": 0.5, "gone": null}}')


def test_references_learn_of_tasks_that_come_later(store) -> None:
    references = References(TrashStore(store.engine))
    add(store, from_weight="models:/m/3")
    assert len(references.to({"models:/m/3", "models:/m/31"})["models:/m/3"]) == 1
    add(store, teacher="models:/m/3")
    assert len(references.to({"models:/m/3"})["models:/m/3"]) == 2
    assert references.to({"models:/m/31"}) == {}


def test_what_is_being_removed_does_not_come_back(store) -> None:
    rows = TrashStore(store.engine)
    task = add(store)
    with pytest.raises(ConflictError, match="restored or removed"):
        rows.mark([task.id], [])
    stopped = store.move(task, State.STOPPED, "stopped")
    deleted = store.set_deleted(stopped, 1.0)
    rows.mark([task.id], [])
    with pytest.raises(ConflictError, match="being removed for good"):
        store.set_deleted(deleted, None)
    assert [found.id for found in rows.marked()[0]] == [task.id]
    rows.remove_task(task.id)
    rows.remove_task(task.id)
    assert store.get(task.id) is None
    assert rows.count_marked() == 0


def test_the_trash_is_paged_and_knows_what_is_older(store) -> None:
    rows = TrashStore(store.engine)
    tasks = [add(store, name=f"t{number}") for number in range(30)]
    for number, task in enumerate(tasks):
        store.set_deleted(store.move(task, State.STOPPED, "stopped"), float(number + 1))
    entries, total = rows.entries(limit=10, offset=5)
    assert total == 30
    assert [entry.name for entry in entries] == [f"t{number}" for number in range(24, 14, -1)]
    assert rows.entries(limit=100, before=11.0)[1] == 10


@pytest.fixture
def trashed(platform: Platform):
    """A platform without a tracking server, with one deleted task of 8 kB and one that is not deleted."""
    gone, kept = (add(platform._store, name=name) for name in ("gone", "kept"))
    platform._store.set_deleted(platform._store.move(gone, State.STOPPED, "stopped"), 1.0)
    folder = platform.settings.task_dir(gone.id)
    folder.mkdir(parents=True)
    (folder / "log.txt").write_bytes(b"l" * 8_192)
    return platform, gone, kept


def test_the_page_has_bytes_and_says_when_the_registry_was_not_asked(trashed) -> None:
    platform, gone, _ = trashed
    page = platform.trash.page(wait=True)
    assert [(item.name, item.bytes, item.kind) for item in page.items] == [("gone", 8_192, "task")]
    assert (page.total, page.bytes, page.measuring, page.tracking) == (1, 8_192, 0, False)
    assert platform.trash.cost([gone.id]).bytes == 8_192
    with pytest.raises(NotFoundError):
        platform.trash.cost(["nope"])


@pytest.mark.fault("delete of a running task")
def test_nothing_is_removed_that_is_not_deleted_or_while_the_tracking_server_is_away(trashed) -> None:
    platform, gone, kept = trashed
    with pytest.raises(ConflictError, match="'kept' is not deleted"):
        platform.trash.purge([kept.id])
    for ask in (lambda: platform.trash.purge([gone.id]), platform.trash.empty):
        with pytest.raises(TrackingUnavailableError):
            ask()
    assert platform.trash.page().purging == 0
    assert platform.trash.go_on().job is None


def test_the_command_lists_and_asks_before_it_removes(trashed, capsys) -> None:
    platform, gone, _ = trashed
    assert cli.main(["trash"], platform) == 0
    listed = capsys.readouterr().out
    assert gone.id[:8] in listed
    assert "8.2 kB" in listed
    assert cli.main(["trash", "empty", "--older-than", "30d"], platform) == 1, "nobody said yes"
    told = capsys.readouterr()
    assert "1 will be removed for good, which frees 8.2 kB" in told.out
    assert "--yes" in told.err
    assert cli.main(["trash", "purge", gone.id, "--yes"], platform) == 1, "the tracking server is away"
    assert "tracking server" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        cli.main(["trash", "empty", "--older-than", "soon"], platform)
