"""Sample data in every format, written by a small grammar: enough to try each training type in minutes.

    generate(Path("dataset/samples"))

Chinese and English in equal parts. Answers to sums are computed, so they are right. The same seed gives the same bytes.
"""

import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from random import Random
from typing import Any

from trainer.errors import DataError, DiskError
from trainer.sample_sums import SUMS, calculation, giving, sharing, shopping, small_sum, walking
from trainer.sample_texts import TEXTS, Piece

ROWS = 5000
"""Pretraining rows; the other files have shares of it."""
SHARES = {
    "pretrain": 1.0,
    "sft": 0.4,
    "lora_identity": 0.04,
    "dpo": 0.1,
    "rlaif": 0.2,
    "reason": 0.2,
    "arithmetic_sft": 0.4,
    "arithmetic_rlaif": 0.04,
}
"""Rows of each file as a part of the pretraining rows."""
_TOOL = {
    "type": "function",
    "function": {
        "name": "calculate",
        "description": "Work out an arithmetic expression.",
        "parameters": {"type": "object", "properties": {"expression": {"type": "string"}}, "required": ["expression"]},
    },
}


def generate(folder: Path, seed: int = 42, rows: int = ROWS) -> list[Path]:
    """Write the sample files into a folder and return their paths; files of the same name are replaced.

    Args:
        rows: rows of pretrain.jsonl; the other files are smaller in proportion.
    """
    if rows < 1:
        raise DataError(f"rows is {rows}; at least 1 is needed.")
    makers = {
        "pretrain": _pretrain,
        "sft": _sft,
        "lora_identity": _identity,
        "dpo": _dpo,
        "rlaif": _rlaif,
        "reason": _reason,
        "arithmetic_sft": _arithmetic_sft,
        "arithmetic_rlaif": _arithmetic_rlaif,
    }
    paths = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, maker in makers.items():
            count = max(1, round(rows * SHARES[name]))
            path = folder / f"{name}.jsonl"
            _write(path, _distinct(maker, Random(f"{name} {seed}"), count))
            paths.append(path)
    except OSError as error:
        raise DiskError(f"Sample data cannot be written to {folder}: {error.strerror or error}.") from error
    return paths


def _distinct(maker: Any, r: Random, count: int) -> Iterator[dict[str, Any]]:
    """Rows that differ; repeats only where the grammar has no more to say."""
    seen: set[str] = set()
    for index in range(count):
        zh = index % 2 == 0
        row: dict[str, Any] = maker(r, zh)
        for _ in range(20):
            if json.dumps(row) not in seen:
                break
            row = maker(r, zh)
        seen.add(json.dumps(row))
        yield row


def _write(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as stream:
            stream.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _draw(r: Random, zh: bool, makers: tuple[Any, ...] = (*TEXTS, *TEXTS, *SUMS)) -> Piece:
    return r.choice(makers)(r, zh)


def _turns(*contents: str) -> list[dict[str, Any]]:
    return [{"role": ("user", "assistant")[i % 2], "content": text} for i, text in enumerate(contents)]


def _pretrain(r: Random, zh: bool) -> dict[str, Any]:
    parts = [_draw(r, zh).text]
    while sum(map(len, parts)) < (90 if zh else 260):
        parts.append(_draw(r, zh).text)
    return {"text": "\n".join(parts)}


def _sft(r: Random, zh: bool) -> dict[str, Any]:
    kind = r.random()
    if kind < 0.08:
        return {"conversations": _tool_use(r, zh)}
    first = _draw(r, zh)
    contents = [first.question, first.answer]
    if kind < 0.3:  # a second question
        second = _draw(r, zh)
        contents += [second.question, second.answer]
    messages = _turns(*contents)
    if kind > 0.85 and first.thought:
        messages[1] |= {"content": first.answer.removeprefix(first.thought).strip(), "reasoning_content": first.thought}
    if 0.3 <= kind < 0.4:
        system = "回答要简短。" if zh else "Keep your answers short."
        messages.insert(0, {"role": "system", "content": system})
    return {"conversations": messages}


def _tool_use(r: Random, zh: bool) -> list[dict[str, Any]]:
    a, b = r.randint(100, 999), r.randint(11, 99)
    call = {"name": "calculate", "arguments": {"expression": f"{a} * {b}"}}
    result = str(a * b)
    question, answer = (f"{a} 乘以 {b} 是多少？", f"{a} 乘以 {b} 等于 {result}。")
    if not zh:
        question, answer = f"What is {a} times {b}?", f"{a} times {b} is {result}."
    return [
        {"role": "system", "content": "你可以使用工具。" if zh else "You can use tools.", "tools": json.dumps([_TOOL])},
        {"role": "user", "content": question},
        {"role": "assistant", "content": "", "tool_calls": json.dumps([call])},
        {"role": "tool", "content": json.dumps({"result": result})},
        {"role": "assistant", "content": answer},
    ]


def _identity(r: Random, zh: bool) -> dict[str, Any]:
    if zh:
        question = r.choice(["你是谁？", "你叫什么名字？", "介绍一下你自己。", "你是什么模型？", "你好，请问你是？"])
        start = r.choice(["你好！", "很高兴认识你。", "您好，", ""])
        name = r.choice(["我是 MiniMind", "我叫 MiniMind", "我的名字是 MiniMind"])
        what = r.choice(
            ["，一个小型语言模型。", "，一个可以在自己的电脑上训练的语言模型。", "，一个小巧的人工智能助手。"]
        )
        end = r.choice(["有什么可以帮你的吗？", "请随便提问。", "我会尽力回答你的问题。", ""])
        return {"conversations": _turns(question, start + name + what + end)}
    question = r.choice(["Who are you?", "What is your name?", "Introduce yourself.", "What kind of model are you?"])
    start = r.choice(["Hello! ", "Nice to meet you. ", "Hi, ", ""])
    name = r.choice(["I am MiniMind", "I'm called MiniMind"])
    what = r.choice(
        [", a small language model.", ", a language model that anyone can train at home.", ", a little AI assistant."]
    )
    end = r.choice([" How can I help?", " Ask me anything.", " I will do my best to answer.", ""])
    return {"conversations": _turns(question, start + name + what + end)}


def _dpo(r: Random, zh: bool) -> dict[str, Any]:
    piece = _draw(r, zh)
    question = piece.question
    if piece.result.isdigit() and r.random() < 0.6:  # a wrong result
        wrong = str(int(piece.result) + r.choice([-2, -1, 1, 2, 10]))
        rejected = ("答案是 {}。" if zh else "The answer is {}.").format(wrong)
    else:
        rejected = r.choice(
            ["我不知道。", "这个问题不重要。", "随便吧。", "请问别人。", "嗯，也许是，也许不是。"]
            if zh
            else [
                "I do not know.",
                "That does not matter.",
                "Whatever.",
                "Ask somebody else.",
                "Well, maybe, maybe not.",
            ]
        )
    return {"chosen": _turns(question, piece.answer), "rejected": _turns(question, rejected)}


def _rlaif(r: Random, zh: bool) -> dict[str, Any]:
    piece = _draw(r, zh, (calculation, giving, shopping, sharing, walking))
    return {"conversations": _turns(piece.question, ""), "gt": [piece.result]}


def _arithmetic_sft(r: Random, _zh: bool) -> dict[str, Any]:
    return {"conversations": _turns(*small_sum(r))}


def _arithmetic_rlaif(r: Random, _zh: bool) -> dict[str, Any]:
    question, answer = small_sum(r)
    return {"conversations": _turns(question, ""), "gt": [answer]}


def _reason(r: Random, zh: bool) -> dict[str, Any]:
    piece = _draw(r, zh, SUMS)
    answer = f"<think>\n{piece.thought}\n</think>\n<answer>\n{piece.result}\n</answer>"
    return {"conversations": _turns(piece.question, answer)}
