"""Pieces of sample text with an answer that was computed: word problems, sequences, days, small programs.

piece = shopping(random.Random(1), zh=True)
piece.thought, piece.result
"""

from random import Random

from trainer.sample_texts import Piece
from trainer.sample_words import DAYS, ITEMS, PEOPLE, PLACES, WORDS


def _piece(zh: bool, question: str, thought: str, result: str, ending: str) -> Piece:
    """A piece from its parts; `ending` is the sentence with the result."""
    space = "" if zh else " "
    answer = f"{thought}{space}{ending}"
    text = question + answer if question.endswith("\n") else f"{question}{space}{answer}"
    return Piece(question.strip(), answer, text, thought, result)


def calculation(r: Random, zh: bool) -> Piece:
    """One or two operations on numbers."""
    a, b, c = r.randint(2, 99), r.randint(2, 99), r.randint(2, 12)
    kind = r.randrange(5)
    if kind == 0:
        sums, result, steps = f"{a} + {b}", a + b, f"{a} + {b} = {a + b}"
    elif kind == 1:
        a, b = max(a, b), min(a, b)
        sums, result, steps = f"{a} - {b}", a - b, f"{a} - {b} = {a - b}"
    elif kind == 2:
        sums, result, steps = f"{a} × {c}", a * c, f"{a} × {c} = {a * c}"
    elif kind == 3:
        sums, result, steps = f"{a * c} ÷ {c}", a, f"{a} × {c} = {a * c}"
    else:
        sums, result = f"{a} + {b} × {c}", a + b * c
        steps = f"{b} × {c} = {b * c}, {a} + {b * c} = {result}"
    if zh:
        steps = steps.replace(", ", "，")
        question = r.choice([f"{sums} 等于多少？", f"请计算 {sums}。", f"算一算：{sums} = ？"])
        return _piece(zh, question, f"计算：{steps}。", str(result), f"答案是 {result}。")
    question = r.choice([f"What is {sums}?", f"Calculate {sums}.", f"How much is {sums}?"])
    return _piece(zh, question, f"We have {steps}.", str(result), f"The answer is {result}.")


def small_sum(r: Random) -> tuple[str, str]:
    """A question and its answer, short enough for a model of a million weights to learn in minutes."""
    a, b = r.randint(0, 12), r.randint(0, 12)
    if r.random() < 0.5:
        return f"{a} + {b} = ?", str(a + b)
    return f"{max(a, b)} - {min(a, b)} = ?", str(abs(a - b))


def giving(r: Random, zh: bool) -> Piece:
    """Somebody gives away and gets things."""
    k = int(zh)
    (one, two), item, place = (p[k] for p in r.sample(PEOPLE, 2)), r.choice(ITEMS)[k], r.choice(PLACES)[k]
    have, more = r.randint(12, 90), r.randint(2, 30)
    given = r.randint(2, have - 2)
    left, result = have - given, have - given + more
    if zh:
        question = f"{one}有 {have} {item}，送给{two} {given} {item[0]}，后来{place}又得到 {more} {item[0]}。"
        question += f"{one}现在有多少{item}？"
        thought = f"送出以后剩下 {have} - {given} = {left}。又得到 {more}，所以是 {left} + {more} = {result}。"
        return _piece(zh, question, thought, str(result), f"{one}现在有 {result} {item}。")
    question = f"{one} has {have} {item} and gives {given} of them to {two}. Later {one} finds {more} more {place}. "
    question += f"How many {item} does {one} have now?"
    thought = f"After giving there are {have} - {given} = {left}. With {more} more it is {left} + {more} = {result}."
    return _piece(zh, question, thought, str(result), f"{one} has {result} {item} now.")


def shopping(r: Random, zh: bool) -> Piece:
    """Prices, totals and change."""
    person, item = r.choice(PEOPLE), r.choice(ITEMS)
    count, price = r.randint(2, 12), r.randint(2, 15)
    total = count * price
    paid = total + r.randint(1, 60)
    change = paid - total
    if zh:
        one = item[1][0]
        question = f"{person[1]}买了 {count} {item[1]}，每{one} {price} 元，付了 {paid} 元，应找回多少元？"
        thought = f"总价是 {count} × {price} = {total} 元。找回 {paid} - {total} = {change} 元。"
        return _piece(zh, question, thought, str(change), f"应找回 {change} 元。")
    question = f"{person[0]} buys {count} {item[0]} at {price} dollars each and pays with {paid} dollars. "
    question += "How much change is due?"
    thought = f"The price is {count} × {price} = {total} dollars. The change is {paid} - {total} = {change} dollars."
    return _piece(zh, question, thought, str(change), f"{person[0]} gets {change} dollars back.")


def sharing(r: Random, zh: bool) -> Piece:
    """Equal parts and a rest."""
    person, item, people, each = r.choice(PEOPLE), r.choice(ITEMS), r.randint(2, 12), r.randint(2, 12)
    rest = r.randrange(people)
    total = people * each + rest
    if zh:
        one = item[1][0]
        question = f"{person[1]}把 {total} {item[1]}平均分给 {people} 个人，每人最多得到几{one}？"
        thought = f"{people} × {each} = {people * each}，{total} - {people * each} = {rest}。"
        return _piece(zh, question, thought, str(each), f"每人得到 {each} {one}，还剩 {rest} {one}。")
    question = f"{person[0]} shares {total} {item[0]} equally among {people} people. How many does each one get?"
    thought = f"{people} × {each} = {people * each}, and {total} - {people * each} = {rest}."
    return _piece(zh, question, thought, str(each), f"Each one gets {each}, and {rest} are left.")


def walking(r: Random, zh: bool) -> Piece:
    """Speed, time and distance."""
    person, speed, hours, extra = r.choice(PEOPLE), r.randint(3, 25), r.randint(2, 9), r.randint(1, 40)
    way = speed * hours
    total = way + extra
    if zh:
        question = (
            f"{person[1]}以每小时 {speed} 公里的速度走了 {hours} 小时，又坐车走了 {extra} 公里。一共走了多少公里？"
        )
        thought = f"步行的路程是 {speed} × {hours} = {way} 公里。加上坐车，{way} + {extra} = {total}。"
        return _piece(zh, question, thought, str(total), f"一共走了 {total} 公里。")
    question = (
        f"{person[0]} travels {hours} hours at {speed} kilometres an hour and then takes a bus for {extra} kilometres. "
    )
    question += "How far is that in all?"
    thought = f"The first part is {speed} × {hours} = {way} kilometres. With the bus it is {way} + {extra} = {total}."
    return _piece(zh, question, thought, str(total), f"It is {total} kilometres in all.")


def days(r: Random, zh: bool) -> Piece:
    """Counting days of the week."""
    start, ahead, back = r.randrange(7), r.randint(2, 40), r.random() < 0.3
    weeks, rest = divmod(ahead, 7)
    result = DAYS[(start - ahead if back else start + ahead) % 7][int(zh)]
    if zh:
        question = f"今天是{DAYS[start][1]}，{ahead} 天{'前' if back else '后'}是星期几？"
        thought = f"{ahead} 天是 {weeks} 个星期零 {rest} 天。"
        return _piece(
            zh, question, thought, result, f"从{DAYS[start][1]}{'往前' if back else '往后'}数 {rest} 天，是{result}。"
        )
    when = f"was it {ahead} days ago" if back else f"is it in {ahead} days"
    question = f"Today is {DAYS[start][0]}. Which day {when}?"
    thought = f"{ahead} days are {weeks} week{'' if weeks == 1 else 's'} and {rest} day{'' if rest == 1 else 's'}."
    return _piece(
        zh,
        question,
        thought,
        result,
        f"Counting {rest} {'back' if back else 'on'} from {DAYS[start][0]} gives {result}.",
    )


def sequence(r: Random, zh: bool) -> Piece:
    """The next number of a row."""
    start, step, doubling = r.randint(1, 40), r.randint(2, 15), r.random() < 0.25
    numbers = [start * 2**i if doubling else start + step * i for i in range(6)]
    shown, result = ", ".join(map(str, numbers[:5])), str(numbers[5])
    if zh:
        shown = shown.replace(", ", "，")
        thought = "每个数都是前一个数的两倍。" if doubling else f"每个数比前一个数多 {step}。"
        return _piece(zh, f"数列 {shown} 的下一个数是什么？", thought, result, f"下一个数是 {result}。")
    thought = "Each number is twice the one before." if doubling else f"Each number is {step} more than the one before."
    return _piece(zh, f"Which number comes next: {shown}?", thought, result, f"The next number is {result}.")


def ordering(r: Random, zh: bool) -> Piece:
    """Numbers in order, the largest, the smallest, the sum."""
    numbers = r.sample(range(1, 100), r.randint(3, 6))
    ordered, total = sorted(numbers), sum(numbers)
    given, shown = (", ".join(map(str, n)) for n in (numbers, ordered))
    if zh:
        given, shown = given.replace(", ", "、"), shown.replace(", ", "、")
        thought = f"从小到大排列是 {shown}。最小的是 {ordered[0]}，最大的是 {ordered[-1]}。"
        return _piece(zh, f"把 {given} 从小到大排列，它们的和是多少？", thought, str(total), f"它们的和是 {total}。")
    thought = f"In order they are {shown}. The smallest is {ordered[0]} and the largest is {ordered[-1]}."
    return _piece(zh, f"Put {given} in order and add them up.", thought, str(total), f"Their sum is {total}.")


def letters(r: Random, zh: bool) -> Piece:
    """Letters of a word."""
    word = r.choice([en for en, _ in WORDS])
    spelled, count = "-".join(word), str(len(word))
    if zh:
        return _piece(
            zh,
            f"单词 {word} 有几个字母？",
            f"拼写是 {spelled}。",
            count,
            f"{word} 有 {count} 个字母，倒过来是 {word[::-1]}。",
        )
    ending = f"The word {word} has {count} letters; backwards it reads {word[::-1]}."
    return _piece(zh, f"How many letters are in the word {word}?", f"It is spelled {spelled}.", count, ending)


def program(r: Random, zh: bool) -> Piece:
    """A small Python function and what it returns."""
    a, b, x = r.randint(2, 9), r.randint(1, 20), r.randint(1, 30)
    name, body, result = r.choice(
        [
            ("scale", f"return {a} * x + {b}", a * x + b),
            ("rest", f"return (x + {b}) % {a}", (x + b) % a),
            ("count", f"return len(range(0, x + {b}, {a}))", len(range(0, x + b, a))),
            ("largest", f"return max(x, {b}) - {a}", max(x, b) - a),
        ]
    )
    code = f"```python\ndef {name}(x):\n    {body}\n```"
    if zh:
        question, thought = f"下面的函数对 x = {x} 返回什么？\n{code}\n", f"代入 x = {x}。"
        return _piece(zh, question, thought, str(result), f"{name}({x}) 返回 {result}。")
    question, thought = f"What does this function return for x = {x}?\n{code}\n", f"Put {x} in place of x."
    return _piece(zh, question, thought, str(result), f"{name}({x}) returns {result}.")


SUMS = (calculation, giving, shopping, sharing, walking, days, sequence, ordering, letters, program)
