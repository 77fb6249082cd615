# ruff: noqa: A002 - the parameters have the names of the platform's own
"""The part of the platform in memory that looks into data and fetches it."""

import math
import time
import uuid
from dataclasses import replace
from typing import Any

from minimind_platform.errors import ConflictError, NotFoundError, PlatformError
from minimind_platform.views import Dataset, HubEntry, Job, JobState
from trainer.hub_files import ITEMS

HTML = '<img src=x onerror="alert(1)"><b>bold</b>'
"""Stands in names, errors and log lines; must appear as it is written here."""


class FakeData:
    """Statistics, previews and downloads, as background jobs that go on only when a test says so."""

    def __init__(self) -> None:
        self.data: list[Dataset] = []
        self.background: dict[str, Job] = {}
        self.fetched: set[str] = set()

    def data_stats(self, path: str, type: str = "", max_seq_len: int = 0, again: bool = False) -> Job:
        dataset = self._dataset(path)
        id_ = uuid.uuid5(uuid.NAMESPACE_OID, f"{path} {type} {max_seq_len}").hex[:16]
        known = self.background.get(id_)
        if known and not (again and known.state in (JobState.FAILED, JobState.CANCELLED)):
            return known
        job = Job(id_, "stats", path, JobState.RUNNING, time.time(), total=dataset.bytes)
        if dataset.bytes < 1_000_000:
            result = stats_of(dataset, max_seq_len or 340)
            job = replace(job, state=JobState.DONE, ended_at=time.time(), done=dataset.bytes, result=result)
        if not dataset.format:
            error = f"{path} is in no format that we know. Line 1 has none of the keys {HTML}."
            job = replace(job, state=JobState.FAILED, ended_at=time.time(), error=error)
        self.background[id_] = job
        return job

    def data_preview(
        self, path: str, type: str = "", max_seq_len: int = 0, start: int = 0, rows: int = 5
    ) -> dict[str, Any]:
        dataset = self._dataset(path)
        if not dataset.format:
            raise PlatformError(f"{path} is in no format that we know.", "Choose a training type.")
        count = max(0, min(rows, 12 - start))
        shown = [row_of(dataset, start + place, max_seq_len or 340) for place in range(count)]
        return {"path": path, "format": dataset.format, "total_rows": 12, "rows": shown}

    def hub_entries(self) -> list[HubEntry]:
        jobs = {job.label: self.job(job.id) for job in self.background.values() if job.kind == "fetch"}
        return [
            HubEntry(
                item.name, item.kind, item.format, item.bytes, item.about, item.licence, item.repo, item.path,
                item.name in self.fetched, 412_000_000 if item.name == "sft_t2t" else 0,
                ITEMS[item.tokenizer].path if item.tokenizer else "", jobs.get(item.name),
            )
            for item in ITEMS.values()
        ]  # fmt: skip

    def hub_fetch(self, name: str) -> Job:
        if name not in ITEMS:
            raise NotFoundError(f"Nothing can be fetched by the name {name!r}.")
        id_ = uuid.uuid5(uuid.NAMESPACE_OID, name).hex[:16]
        known = self.background.get(id_)
        if not known or known.state in (JobState.FAILED, JobState.CANCELLED):
            total = ITEMS[name].bytes
            self.background[id_] = Job(id_, "fetch", name, JobState.RUNNING, time.time(), done=total // 3, total=total)
        return self.background[id_]

    def jobs(self, kind: str = "") -> list[Job]:
        found = [replace(job, result=None) for job in self.background.values() if kind in ("", job.kind)]
        return sorted(found, key=lambda job: -job.created_at)

    def job(self, id: str) -> Job:
        if id not in self.background:
            raise NotFoundError(f"There is no job {id!r}.")
        return self.background[id]

    def cancel_job(self, id: str) -> Job:
        if self.job(id).state is JobState.RUNNING:
            self.background[id] = replace(self.background[id], state=JobState.CANCELLED, ended_at=time.time())
        return self.background[id]

    def remove_job(self, id: str) -> None:
        if self.job(id).state is JobState.RUNNING:
            raise ConflictError("This job runs; cancel it first.")
        del self.background[id]

    def _dataset(self, path: str) -> Dataset:
        for dataset in self.data:
            if dataset.path == path:
                return dataset
        raise NotFoundError(f"There is no file {path!r}.", "dataset/ has notes.jsonl.")


def stats_of(dataset: Dataset, longest: int) -> dict[str, Any]:
    """What `data_cli stats --json` prints."""
    rows = dataset.rows or 0
    width = max(8, longest // 12)
    bars = [
        {"low": width * n, "high": width * (n + 1) - 1, "rows": round(rows * math.exp(-((n - 5) ** 2) / 12) / 6)}
        for n in range(20)
    ]
    return {
        "path": dataset.path, "format": dataset.format, "sha256": "ab" * 32, "bytes": dataset.bytes,
        "files": [{"name": dataset.name, "rows": rows, "bytes": dataset.bytes}], "rows": rows, "bad_rows": 2,
        "errors": [
            {"message": f"{dataset.path}, line 17: not valid JSON: {HTML}", "hint": "Check the quotes."},
            {"message": f"{dataset.path}, line 40: 'text' is empty.", "hint": ""},
        ],
        "notices": [f"Field 'source' is ignored {HTML}"], "tokens": rows * 180, "labelled_tokens": rows * 95,
        "max_seq_len": longest, "truncated_rows": rows // 9, "truncated_tokens": rows * 4, "unlabelled_rows": 3,
        "duplicate_rows": 5, "duplicate_lines": ["line 3", "line 9", "line 12"],
        "length": {"min": 12, "median": 168, "mean": 180.4, "p95": longest + 40, "max": longest * 2},
        "histogram": bars,
    }  # fmt: skip


def row_of(dataset: Dataset, number: int, longest: int) -> dict[str, Any]:
    """A row of `data_cli preview --json`."""
    spans = [
        {"text": "<|im_start|>user\n", "loss": False, "tokens": 4},
        {"text": f"Row {number}: 你好 {HTML}", "loss": False, "tokens": 21},
        {"text": "<|im_end|>\n<|im_start|>assistant\n", "loss": False, "tokens": 6},
        {"text": "An answer that is learned.\n\n  - with two lines", "loss": True, "tokens": 14},
        {"text": "<|im_end|>", "loss": True, "tokens": 1},
    ]
    tokens = sum(span["tokens"] for span in spans)
    cut = longest if longest < tokens else None
    if cut:
        lost = {"text": "An answer that is cut.", "loss": False, "tokens": tokens - longest, "cut": True}
        spans = [*spans[:2], lost]
    where = f"line {number + 1}"
    if number == 6:
        error = {"message": f"{dataset.path} line 7: {HTML}", "hint": "Check the quotes."}
        return {"where": where, "tokens": 0, "cut_at": None, "spans": [], "error": error}
    if dataset.format == "dpo":
        parts = [{"name": name, "spans": spans} for name in ("chosen", "rejected")]
        return {"where": where, "tokens": tokens, "cut_at": cut, "spans": [], "parts": parts}
    return {"where": where, "tokens": tokens, "cut_at": cut, "spans": spans}
