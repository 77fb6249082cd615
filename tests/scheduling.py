"""Which tests run one after the other in one worker: those that share what takes seconds to make.

Marks would do (`xdist_group`), but pytest-xdist 3.8 does not see them under pytest 9.2 (its issue 1386).
"""

from xdist.scheduler import LoadScopeScheduling

TOGETHER = {
    "tests/e2e/test_main_job.py": "one platform, and a story told in order",
    "tests/integration/test_curves.py": "one tracking server",
    "tests/integration/test_backup.py": "one tracking server",
    "tests/integration/test_faults.py": "one home with its servers",
    "tests/integration/test_several_processes.py": "one tracking server",
    "tests/integration/test_standalone.py": "one tracking server",
    "tests/integration/test_submit.py": "one tracking server",
    "tests/integration/test_sweep_api.py": "one platform, and the examples in their order",
    "tests/integration/test_sweeps.py": "one tracking server",
    "tests/integration/test_trash.py": "one tracking server",
    "tests/integration/test_uploads.py": "one tracking server",
    "tests/trainer/test_policy.py": "MiniMind's models",
    "tests/trainer/test_ranks.py": "runs of two processes",
}
"""File to what its tests share; files with the same words share it with each other. All other tests stand alone."""


class Scheduling(LoadScopeScheduling):
    """Gives each worker the next test, or the next ones that belong together; the largest group first."""

    def _split_scope(self, nodeid: str) -> str:
        return TOGETHER.get(nodeid.partition("::")[0], nodeid)
