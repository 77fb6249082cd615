"""Background jobs: real processes that outlive whoever started them."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from waiting import until

from minimind_platform.errors import ConflictError, NotFoundError
from minimind_platform.jobs import MOST_AT_ONCE, Jobs
from minimind_platform.settings import Settings
from minimind_platform.views import Job, JobState

ROOT = Path(__file__).parents[2]
COUNTS = "import sys, json; [print(json.dumps({'done': n, 'total': 3}), file=sys.stderr) for n in (1, 2)]; "
ANSWER = [sys.executable, "-c", COUNTS + "print(json.dumps({'rows': 7, 'text': '中文'}))"]
WAITS = [sys.executable, "-c", COUNTS + "import time; time.sleep(60)"]
FAILS = [sys.executable, "-c", COUNTS + "sys.exit('There is no line 3.')"]


@pytest.fixture
def jobs(tmp_path: Path) -> Any:
    jobs = Jobs(Settings(home=tmp_path))
    yield jobs
    for job in jobs.all():
        jobs.cancel(job.id)
    for job in jobs.all():
        ended(jobs, job)


def ended(jobs: Jobs, job: Job) -> Job:
    until(lambda: jobs.get(job.id).state is not JobState.RUNNING)
    return jobs.get(job.id)


def test_a_job_runs_once_for_its_key_and_keeps_its_result(jobs: Jobs, tmp_path: Path) -> None:
    job = jobs.start("stats", "p.jsonl", ANSWER, "key")
    assert (job.state, job.kind, job.label) == (JobState.RUNNING, "stats", "p.jsonl")
    assert jobs.start("stats", "p.jsonl", ANSWER, "key").id == job.id
    done = ended(jobs, job)
    assert done.state is JobState.DONE
    assert done.result == {"rows": 7, "text": "中文"}
    assert done.ended_at
    other = Jobs(Settings(home=tmp_path))  # as after a restart of the web app
    assert other.start("stats", "p.jsonl", FAILS, "key").result == done.result
    assert [found.id for found in other.all("stats")] == [job.id]
    assert other.all("fetch") == []


def test_progress_is_told_while_it_runs_and_cancel_ends_it(jobs: Jobs) -> None:
    job = jobs.start("fetch", "dpo", WAITS, "key")
    until(lambda: jobs.get(job.id).done == 2)
    assert jobs.get(job.id).total == 3
    with pytest.raises(ConflictError):
        jobs.remove(job.id)
    jobs.cancel(job.id)
    assert ended(jobs, job).state is JobState.CANCELLED
    assert jobs.cancel(job.id).state is JobState.CANCELLED
    again = jobs.start("fetch", "dpo", ANSWER, "key")
    assert again.id == job.id
    assert ended(jobs, again).state is JobState.DONE
    jobs.remove(job.id)
    with pytest.raises(NotFoundError):
        jobs.get(job.id)


def test_a_cancel_right_after_the_start_is_not_lost(jobs: Jobs) -> None:
    job = jobs.start("fetch", "dpo", WAITS, "key")
    jobs.cancel(job.id)
    assert ended(jobs, job).state is JobState.CANCELLED


def test_a_failed_job_says_why(jobs: Jobs) -> None:
    job = ended(jobs, jobs.start("stats", "p.jsonl", FAILS, "key"))
    assert (job.state, job.error, job.result) == (JobState.FAILED, "There is no line 3.", None)
    missing = ended(jobs, jobs.start("stats", "q.jsonl", ["/no/such/program"], "other"))
    assert missing.state is JobState.FAILED
    assert "/no/such/program" in missing.error


def test_a_job_outlives_the_process_that_started_it_and_a_kill_is_noticed(jobs: Jobs, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from minimind_platform.jobs import Jobs;"
        "from minimind_platform.settings import Settings;"
        f"print(Jobs(Settings(home=Path({str(tmp_path)!r}))).start('fetch', 'dpo', {WAITS!r}, 'key').id)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert done.returncode == 0, done.stderr
    id_ = done.stdout.strip()
    until(lambda: jobs.get(id_).done == 2)
    folder = tmp_path / "out" / ".jobs" / id_
    os.kill(json.loads((folder / "proc.json").read_text())["runner"], signal.SIGKILL)
    until(lambda: jobs.get(id_).state is JobState.FAILED)
    assert jobs.get(id_).error == "It was interrupted."


def test_only_a_few_run_at_once(jobs: Jobs) -> None:
    for number in range(MOST_AT_ONCE):
        jobs.start("stats", f"{number}.jsonl", WAITS, str(number))
    with pytest.raises(ConflictError, match=r"3\.jsonl"):
        jobs.start("stats", "more.jsonl", WAITS, "more")


def test_ids_cannot_lead_elsewhere(jobs: Jobs) -> None:
    for id_ in ("..", "../x", "", "a/b", "%2e"):
        with pytest.raises(NotFoundError):
            jobs.get(id_)


def test_the_command_line_sees_and_cancels_the_same_jobs(jobs: Jobs, tmp_path: Path, capsys: Any) -> None:
    from minimind_platform.cli import main

    (tmp_path / "mlruns").mkdir()
    assert main(["jobs", "--home", str(tmp_path)]) == 0
    assert "No background jobs" in capsys.readouterr().out
    job = jobs.start("fetch", "dpo", WAITS, "key")
    until(lambda: jobs.get(job.id).done == 2)
    assert main(["jobs", "--home", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert job.id in out
    assert "67% of 3 B" in out
    assert main(["jobs", "--home", str(tmp_path), "--cancel", job.id]) == 0
    assert ended(jobs, job).state is JobState.CANCELLED
    assert main(["jobs", "--home", str(tmp_path), "--cancel", "nothing"]) == 1
    assert main(["jobs", "--home", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])[0]["state"] == "cancelled"
