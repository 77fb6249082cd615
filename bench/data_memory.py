"""Memory and speed of reading a large data set: tokens made, rows picked, rows read at random, a short training.

    python bench/data_memory.py [--megabytes 2000] [--format pretrain] [--kind .jsonl] [--folder /tmp]

Writes a data file of that size with generated text, removes it and the tokens made from it at the end. Memory is the
most that the process ever had (VmHWM), Python, PyTorch and transformers included.
"""

import argparse
import gzip
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROWS_READ = 50_000
STEPS = 20


def write_data(path: Path, megabytes: int, format: str) -> int:  # noqa: A002
    """Rows of about 1 KB, no two the same; returns the bytes of the text as JSONL."""
    import pyarrow

    from trainer.samples import generate

    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder), rows=5_000)
        texts = [json.loads(line)["text"] for line in (Path(folder) / "pretrain.jsonl").open(encoding="utf-8")]
    draw, written, number = random.Random(0), 0, 0
    opened: Any = open(path, "wb")  # noqa: SIM115, PTH123
    if path.suffix == ".gz":
        opened = gzip.open(path, "wb", compresslevel=3)  # noqa: SIM115
    elif path.suffix == ".zst":
        opened = pyarrow.CompressedOutputStream(str(path), "zstd")
    with opened as stream:
        while written < megabytes * 10**6:
            number += 1
            parts = draw.choices(texts, k=draw.randint(3, 9))
            row: dict[str, Any] = {"text": f"{number}. {' '.join(parts)}"}
            if format == "sft":
                turns = zip(("user", "assistant") * 2, (f"{number}?", *parts[:3]), strict=True)
                row = {"conversations": [{"role": role, "content": text} for role, text in turns]}
            line = json.dumps(row, ensure_ascii=False).encode() + b"\n"
            stream.write(line)
            written += len(line)
    return written


def peak() -> float:
    """The most memory that this process had, in MB."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024 / 1e6


def measure(path: Path, size: int, format: str) -> None:  # noqa: A002
    """Make tokens, pick rows, read some; prints each step. Runs in a process of its own."""
    import numpy as np

    import trainer.loop  # noqa: F401 - for the memory that a training has before its data
    from trainer.configs import parse_config
    from trainer.data import load_rows
    from trainer.tokenization import load_tokenizer

    tokenizer = load_tokenizer(None)
    print(f"{'before the data':34} {peak():8,.0f} MB")
    config = parse_config(format, {"data_path": str(path)})
    cache = path.parent / "out" / ".cache" / "tokens"
    began, worked = time.perf_counter(), time.process_time()
    rows = load_rows(str(path), config, tokenizer, cache)
    seconds, worked = time.perf_counter() - began, time.process_time() - worked
    stored = sum(file.stat().st_size for file in cache.rglob("*.bin"))
    print(
        f"{'tokens made':34} {peak():8,.0f} MB  {seconds:,.0f} s, {size / seconds / 1e6:.1f} MB/s "
        f"({size / worked / 1e6:.1f} MB a second of one core), {len(rows):,} rows, "
        f"{rows.report.tokens:,} tokens, {stored / 1e6:,.0f} MB on disk"
    )
    began = time.perf_counter()
    rows = load_rows(str(path), config, tokenizer, cache)
    print(f"{'tokens found':34} {peak():8,.0f} MB  {time.perf_counter() - began:,.1f} s")
    order = np.random.default_rng(0).permutation(len(rows))
    rows = rows.subset(np.sort(order[len(rows) // 50 :]))
    began = time.perf_counter()
    for index in np.random.default_rng(0).integers(len(rows), size=ROWS_READ):
        rows.get(int(index), 0)
    each = (time.perf_counter() - began) / ROWS_READ
    print(f"{f'{ROWS_READ:,} rows read at random':34} {peak():8,.0f} MB  {1e6 * each:,.0f} µs a row")


def train(path: Path, format: str) -> None:  # noqa: A002
    """A short real training with the tokens that are there."""
    settings = ["--preset", "tiny", "--max_steps", str(STEPS), "--device", "cpu", "--from_weight", "none"]
    settings += ["--batch_size", "2", "--accumulation_steps", "1", "--max_seq_len", "340", "--eval_fraction", "0"]
    command = [sys.executable, "-m", "trainer", format, "--data_path", str(path), *settings]
    environment = os.environ | {"MINIMIND_HOME": str(path.parent)}
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=path.parent, env=environment, text=True
    )
    assert process.stderr is not None
    errors = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    if os.waitstatus_to_exitcode(status):
        sys.exit(f"The training failed: {errors[-2000:]}")
    print(f"{f'training, tiny preset, {STEPS} steps':34} {usage.ru_maxrss * 1024 / 1e6:8,.0f} MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--megabytes", type=int, default=2000)
    parser.add_argument("--format", choices=("pretrain", "sft"), default="pretrain")
    parser.add_argument("--kind", choices=(".jsonl", ".jsonl.gz", ".jsonl.zst"), default=".jsonl")
    parser.add_argument("--folder", help="where the data goes; needs twice its size")
    parser.add_argument("--measure", nargs=2, metavar=("PATH", "BYTES"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        measure(Path(options.measure[0]), int(options.measure[1]), options.format)
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        path = Path(folder) / f"data{options.kind}"
        size = write_data(path, options.megabytes, options.format)
        print(f"{size / 1e6:,.0f} MB of {options.format} rows in {path.stat().st_size / 1e6:,.0f} MB", flush=True)
        command = [sys.executable, "-u", __file__, "--format", options.format, "--measure", str(path), str(size)]
        subprocess.run(command, check=True)
        train(path, options.format)


if __name__ == "__main__":
    main()
