"""The short form of the long one (`make chaos`): few tasks of every kind, and harm for twenty seconds."""

import pytest

from chaos.story import Story
from chaos.world import World
from minimind_platform.runner import LINUX


@pytest.fixture
def world(tmp_path, free_port):
    made = World(tmp_path, free_port(), free_port())
    yield made
    made.close()


@pytest.mark.integration
@pytest.mark.skipif(not LINUX, reason="needs a child subreaper and PDEATHSIG")
@pytest.mark.fault("kill -9 scheduler or web", "kill -9 launcher or one rank", "database locked")
def test_nothing_is_lost_or_doubled_whatever_is_killed(world):
    story = Story(world, seed=1, tasks=7, pairs=1, trials=2, pause=0.4, harm=20, patience=600)
    report = story.tell()
    assert report.violations == []
    assert report.faults.total() >= 10, report.faults
    assert report.attempts > report.tasks == 9
