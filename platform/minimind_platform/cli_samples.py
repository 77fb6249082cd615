"""The command `minimind samples`: what a model answered while it was trained by rewards."""

import argparse
import json
import textwrap
from dataclasses import asdict
from typing import TYPE_CHECKING, get_args

from minimind_platform import tables
from minimind_platform.cli_tasks import open_platform
from minimind_platform.samples import COMPARED, Order, SampleQuery
from minimind_platform.views import Sample

if TYPE_CHECKING:
    from minimind_platform.service import Platform


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of `samples`."""
    parser.add_argument("id", help="task id, or the begin of it")
    parser.add_argument("-n", "--limit", type=int, default=5, help="at most so many [5]")
    order = f"newest first, or by reward among the newest {COMPARED:,} [newest]"
    parser.add_argument("--order", choices=get_args(Order), default="newest", help=order)
    parser.add_argument("--low", type=float, help="smallest reward")
    parser.add_argument("--high", type=float, help="largest reward")
    parser.add_argument("--first-step", type=int, help="not of earlier steps")
    parser.add_argument("--last-step", type=int, help="not of later steps")
    parser.add_argument("--json", action="store_true", help="print JSON")


def samples(arguments: argparse.Namespace, platform: "Platform | None") -> int:
    """Print some samples; a search goes on until it has enough or is at the begin."""
    platform = platform or open_platform(arguments)
    found: list[Sample] = []
    before: int | None = None
    while len(found) < arguments.limit:
        query = SampleQuery(
            arguments.order,
            arguments.low,
            arguments.high,
            arguments.first_step,
            arguments.last_step,
            before,
            arguments.limit - len(found),
        )
        page = platform.samples(arguments.id, query)
        found += page.samples
        before = page.older
        if before is None:
            break
    if arguments.json:
        print(json.dumps([asdict(sample) for sample in found], ensure_ascii=False, indent=2))
    elif found:
        print("\n\n".join(_in_words(sample) for sample in found))
    else:
        print("No samples.")
    return 0


def _in_words(sample: Sample) -> str:
    parts = ", ".join(f"{name} {tables.number(value) or '–'}" for name, value in sample.rewards.items())
    facts = [
        f"Step {sample.step:,}",
        f"reward {tables.number(sample.reward) or '–'}" + (f" ({parts})" if parts else ""),
        f"advantage {tables.number(sample.advantage)}" if sample.advantage is not None else "",
        f"{sample.tokens:,} tokens" + ("" if sample.ended else ", cut"),
        sample.problem,
    ]
    lines = ["  ".join(fact for fact in facts if fact), _indented("asked", sample.prompt)]
    lines.append(_indented("answered", sample.completion))
    if sample.gt:
        lines.append(_indented("right", ", ".join(sample.gt)))
    return "\n".join(lines)


def _indented(label: str, text: str) -> str:
    """A text beside its label, control characters out: a model may write anything."""
    clean = "".join(c for c in text if c == "\n" or c.isprintable())
    return textwrap.indent(clean, " " * 11).replace(" " * 11, f"  {label:<9}", 1) if clean else f"  {label}"
