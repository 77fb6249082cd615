"""How many bytes a token stands for, by file and language. Higher is better: fewer tokens for the same text.

python bench/tokenizer.py dataset/samples/*.jsonl --beside path/to/other_tokenizer
"""

import argparse
from collections import defaultdict
from itertools import islice
from pathlib import Path

from trainer.tokenization import bytes_per_token, file_rows, load_tokenizer


def language(text: str) -> str:
    """Chinese if at least every seventh character is."""
    chinese = sum("\u4e00" <= character <= "\u9fff" for character in text)
    return "zh" if chinese * 7 >= len(text) else "en"


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--tokenizer", default=None, help="tokenizer folder (default: the shipped one)")
    parser.add_argument("--beside", default=None, help="folder of another tokenizer to compare with")
    parser.add_argument("--every", type=int, default=1, help="measure every n-th row, from the n-th on")
    options = parser.parse_args()
    shown = [options.tokenizer, options.beside] if options.beside else [options.tokenizer]
    names = [Path(name).name if name else "ours" for name in shown]
    tokenizers = [load_tokenizer(name) for name in shown]
    print(f"| file | language | KB | {' | '.join(names)} |\n|---|---|---|{'---|' * len(names)}")
    for file in options.files:
        texts: dict[str, list[str]] = defaultdict(list)
        for row in islice(file_rows(file), options.every - 1, None, options.every):
            for text in row:
                texts[language(text)].append(text)
        for spoken, group in sorted(texts.items()):
            size = sum(len(text.encode()) for text in group) / 1024
            figures = " | ".join(f"{bytes_per_token(tokenizer, group):.2f}" for tokenizer in tokenizers)
            print(f"| {file.name} | {spoken} | {size:,.0f} | {figures} |")


if __name__ == "__main__":
    main()
