"""Parts of bench/web.py that run in processes of their own.

python bench/web_clients.py poll URL CLIENTS SECONDS      # as JSON: how long answers take
python bench/web_clients.py write TASK_DIR SECONDS [PAUSE]   # a trainer's record; as JSON: when each step was written
"""

import asyncio
import json
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any

import httpx


async def poll(url: str, clients: int, seconds: float) -> dict[str, float]:
    """Each client asks once a second, as a page does, from a moment of its own on."""
    times: list[float] = []
    async with httpx.AsyncClient(timeout=30, limits=httpx.Limits(max_connections=clients)) as http:

        async def client(first: float) -> None:
            await asyncio.sleep(first)
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                began = time.monotonic()
                (await http.get(url)).raise_for_status()
                times.append(time.monotonic() - began)
                await asyncio.sleep(max(0.0, 1 - times[-1]))

        first = (await http.get(url)).raise_for_status()
        url += _since(first.json()) if "json" in first.headers["content-type"] else ""
        await asyncio.gather(*(client(random.random()) for _ in range(clients)))
    times.sort()
    return {"count": len(times), "p50": times[len(times) // 2], "p95": times[len(times) * 95 // 100]}


def _since(answer: dict[str, Any]) -> str:
    """What a client that has this answer asks with."""
    if "curves" not in answer:
        return ""
    known = [f"{key}:{one['width']}:{one.get('last', one['steps'])[-1]}" for key, one in answer["curves"].items()]
    return f"&since={','.join(known)}&marks={answer.get('count', 0)}"


def write(task_dir: Path, seconds: float, pause: float) -> None:
    """Records as a trainer writes them, after those that are there."""
    written: dict[int, float] = {}
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(print(json.dumps(written), flush=True)))
    path = task_dir / "metrics.jsonl"
    lines = path.read_bytes().splitlines() if path.exists() else []
    first = json.loads(lines[-1])["step"] + 1 if lines else 1
    with path.open("ab", buffering=0) as file:
        for step in range(first, first + int(seconds / pause)):
            values = {"train/loss": 2 + 8 / step + random.random() / 5, "train/learning_rate": 5e-4}
            values |= {"train/grad_norm": random.random(), "perf/tokens_per_second": 41_000 + random.random() * 900}
            at = int(time.time() * 1000)
            written[step] = at
            file.write(json.dumps({"kind": "metrics", "t": at, "step": step, "values": values}).encode() + b"\n")
            time.sleep(pause)
    print(json.dumps(written), flush=True)


def main() -> None:
    what, place, *numbers = sys.argv[1:]
    if what == "poll":
        print(json.dumps(asyncio.run(poll(place, int(numbers[0]), float(numbers[1])))))
    else:
        write(Path(place), float(numbers[0]), float(numbers[1]) if len(numbers) > 1 else 0.5)


if __name__ == "__main__":
    main()
