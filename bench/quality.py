"""Whether the fast way of training learns as well as the plain one: validation loss over the same tokens, by seed.

    python bench/quality.py [DATA.jsonl] [--seeds 1 2 3] [--epochs 3] [--hidden_size 256] [--layers 4]

Plain is padded rows in float32 without compiling; fast is packed rows and, on a GPU, bfloat16 and torch.compile. Same
initial weights, same rows in the same order. Without DATA the rows are generated.
"""

import argparse
import logging
import statistics
import tempfile
from pathlib import Path

import torch

from trainer.bases import Base, build_model
from trainer.configs import parse_config
from trainer.data import Rows, load_rows
from trainer.loop import Loop
from trainer.names import Metric
from trainer.samples import generate
from trainer.session import Session
from trainer.spool import read_records
from trainer.tokenization import ChatTokenizer, load_tokenizer

HELD_OUT = 0.1
PLAIN = {"packing": False, "compile": False, "dtype": "float32"}
FAST = {"packing": True, "compile": torch.cuda.is_available(), "dtype": "bfloat16"}
Curve = list[tuple[int, float]]


def train(values: dict[str, object], rows: Rows, tokenizer: ChatTokenizer, home: Path) -> Curve:
    """Tokens seen and validation loss, at each evaluation."""
    config = parse_config("pretrain", values)
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(0)).numpy()
    cut = round(len(rows) * HELD_OUT)
    folder = Path(tempfile.mkdtemp(dir=home))
    with Session.open(config, folder, home, "bench", tracked=False) as session:
        model = build_model(config, tokenizer, Base("none"))
        Loop(config, session, model, tokenizer, rows.subset(order[cut:]), rows.subset(order[:cut])).run()
    tokens, curve = 0, []
    for record, _ in read_records(folder / "metrics.jsonl"):
        found = record.get("values", {}) if record["kind"] == "metrics" else {}
        tokens = int(found.get(Metric.TOKENS, tokens))
        if Metric.EVAL_LOSS in found:
            curve.append((tokens, found[Metric.EVAL_LOSS]))
    return curve


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?")
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--hidden_size", type=int, default=256)
    parser.add_argument("--layers", type=int, default=4)
    options = parser.parse_args()
    logging.disable(logging.INFO)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        if not options.data:
            generate(home)
        data = options.data or str(home / "pretrain.jsonl")
        common = {"data_path": data, "epochs": options.epochs, "batch_size": 16, "accumulation_steps": 1}
        common |= {"hidden_size": options.hidden_size, "num_hidden_layers": options.layers, "learning_rate": 2e-3}
        tokenizer = load_tokenizer(None)
        rows = load_rows(data, parse_config("pretrain", common), tokenizer, home / "cache")
        found: dict[str, list[Curve]] = {"plain": [], "fast": []}
        for seed in options.seeds:
            for way, settings in (("plain", PLAIN), ("fast", FAST)):
                found[way].append(train(common | settings | {"seed": seed}, rows, tokenizer, home))
    _report(found)


def _report(found: dict[str, list[Curve]]) -> None:
    print(f"| tokens | {' | '.join(f'{way} (sd over seeds)' for way in found)} | largest difference at one seed |")
    print("|---|---|---|---|")
    for index in range(min(len(curve) for curves in found.values() for curve in curves)):
        at = {way: [curve[index][1] for curve in curves] for way, curves in found.items()}
        cells = [f"{statistics.mean(losses):.4f} ({statistics.stdev(losses):.4f})" for losses in at.values()]
        gap = max(abs(a - b) for a, b in zip(at["plain"], at["fast"], strict=True))
        print(f"| {found['plain'][0][index][0]:,} | {' | '.join(cells)} | {gap:.4f} |")


if __name__ == "__main__":
    main()
