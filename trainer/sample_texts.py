"""Pieces of sample text without numbers: animals, things, cities, stories, instructions, words.

    piece = story(random.Random(1), zh=False)
    piece.question, piece.answer, piece.text

Each function draws one piece in Chinese or English: a question with its answer, and a passage for pretraining.
"""

from dataclasses import dataclass
from random import Random

from trainer.sample_words import (
    ANIMALS,
    CAPITALS,
    FEELINGS,
    HOWTOS,
    LESSONS,
    LOST,
    PEOPLE,
    PLACES,
    THINGS,
    WEATHER,
    WORDS,
    Animal,
)


@dataclass(frozen=True)
class Piece:
    """A question, its answer, and a text that says the same."""

    question: str
    answer: str
    text: str
    thought: str = ""
    """The way to the answer, where there is one to show."""
    result: str = ""
    """The answer in short, where it can be checked."""


NUMBERS = {0: ("no", "没有"), 2: ("two", "两"), 4: ("four", "四"), 6: ("six", "六")}
ORDINALS = ("First", "Then", "Next", "After that", "Finally")
ORDINALS_ZH = ("首先", "然后", "接着", "之后", "最后")


def article(phrase: str) -> str:
    """The phrase with its indefinite article."""
    return ("an " if phrase[0] in "aeiou" else "a ") + phrase


def capital(sentence: str) -> str:
    """The sentence with a large first letter."""
    return sentence[:1].upper() + sentence[1:]


def animal(r: Random, zh: bool) -> Piece:
    """What kind of animal it is, where it lives, what it eats."""
    a = r.choice(ANIMALS)
    facts = _animal_facts(a, r, zh)
    r.shuffle(facts)
    shown = facts[: r.randint(3, len(facts))]
    if zh:
        start = r.choice(
            [f"{a.zh}是一种{a.kind[1]}。", f"{a.zh}属于{a.kind[1]}。", f"说到{a.kind[1]}，很多人会想到{a.zh}。"]
        )
        question = r.choice([f"请介绍一下{a.zh}。", f"{a.zh}有什么特点？", f"用几句话讲讲{a.zh}。"])
        text = start + "".join(shown)
    else:
        start = r.choice(
            [f"{capital(article(a.en))} is {article(a.kind[0])}.", f"The {a.en} is a kind of {a.kind[0]}."]
        )
        question = r.choice(
            [f"What can you tell me about {a.plural}?", f"Describe {article(a.en)}.", f"Tell me about {a.plural}."]
        )
        text = " ".join([start, *shown])
    return Piece(question, text, text)


def _many(kind: str) -> str:
    return kind if kind == "fish" else kind + "s"


def _animal_facts(a: Animal, r: Random, zh: bool) -> list[str]:
    number = NUMBERS[a.legs][1 if zh else 0]
    if zh:
        legs = f"它{number}腿。" if a.legs == 0 else f"它有{number}条腿。"
        return [
            r.choice([f"它生活在{a.place[1]}。", f"人们常在{a.place[1]}见到它。", f"{a.place[1]}是它的家。"]),
            r.choice([f"它主要吃{a.food[1]}。", f"它喜欢吃{a.food[1]}。", f"它的食物是{a.food[1]}。"]),
            r.choice([f"它{a.trait[1]}。", f"有趣的是，它{a.trait[1]}。", f"人们都知道它{a.trait[1]}。"]),
            legs,
        ]
    return [
        r.choice([f"It lives in {a.place[0]}.", f"You can find it in {a.place[0]}.", f"Its home is in {a.place[0]}."]),
        r.choice([f"It eats {a.food[0]}.", f"It feeds on {a.food[0]}.", f"Its food is {a.food[0]}."]),
        r.choice(
            [
                f"It {a.trait[0]}.",
                f"People know that it {a.trait[0]}.",
                f"What is special about it is that it {a.trait[0]}.",
            ]
        ),
        f"It has {number} legs.",
    ]


def comparison(r: Random, zh: bool) -> Piece:
    """Two animals side by side."""
    a, b = r.sample(ANIMALS, 2)
    if zh:
        same = f"它们都是{a.kind[1]}" if a.kind == b.kind else f"{a.zh}是{a.kind[1]}，{b.zh}是{b.kind[1]}"
        legs = "腿的数量一样" if a.legs == b.legs else f"{(a if a.legs > b.legs else b).zh}的腿更多"
        text = f"{same}，{legs}。{a.zh}吃{a.food[1]}，{b.zh}吃{b.food[1]}。"
        text += f"{a.zh}生活在{a.place[1]}，而{b.zh}生活在{b.place[1]}。"
        return Piece(f"{a.zh}和{b.zh}有什么不同？", text, f"比较{a.zh}和{b.zh}：{text}")
    same = f"{capital(article(a.en))} is {article(a.kind[0])}, while {article(b.en)} is {article(b.kind[0])}"
    if a.kind == b.kind:
        same = f"Both are {_many(a.kind[0])}"
    more = a if a.legs > b.legs else b
    legs = "they have the same number of legs" if a.legs == b.legs else f"the {more.en} has more legs"
    text = (
        f"{same}, and {legs}. {capital(a.plural)} eat {a.food[0]}; {b.plural} eat {b.food[0]}. "
        f"{capital(a.plural)} live in {a.place[0]}, but {b.plural} live in {b.place[0]}."
    )
    return Piece(f"How do {a.plural} differ from {b.plural}?", text, f"{capital(a.plural)} and {b.plural}: {text}")


def thing(r: Random, zh: bool) -> Piece:
    """What a few things are or do."""
    first, *others = r.sample(THINGS, r.randint(3, 4))
    if zh:
        ask = r.choice([f"{first.zh}有什么特点？", f"关于{first.zh}你知道什么？", f"请用一句话介绍{first.zh}。"])
        answer = f"{first.zh}{first.clause[1]}。"
        return Piece(ask, answer, answer + "".join(f"{o.zh}{o.clause[1]}。" for o in others))
    ask = r.choice(["What do you know about {}?", "Tell me one fact about {}.", "Explain {} in one sentence."])
    answer = f"{capital(first.en)} {first.clause[0]}."
    return Piece(ask.format(first.en), answer, " ".join([answer, *(f"{capital(o.en)} {o.clause[0]}." for o in others)]))


def city(r: Random, zh: bool) -> Piece:
    """Capitals and continents."""
    rows = r.sample(CAPITALS, 3)
    (country, country_zh, town, town_zh, land, land_zh) = rows[0]
    if zh:
        answer = r.choice(
            [f"{country_zh}的首都是{town_zh}。", f"{town_zh}是{country_zh}的首都，{country_zh}位于{land_zh}。"]
        )
        more = "".join(f"{c}在{z}，首都是{t}。" for _, c, _, t, _, z in rows)
        return Piece(
            r.choice([f"{country_zh}的首都是哪里？", f"哪座城市是{country_zh}的首都？"]), answer, more + answer
        )
    answer = r.choice(
        [f"The capital of {country} is {town}.", f"{town} is the capital of {country}, a country in {land}."]
    )
    more = " ".join(f"{c} lies in {z}, and its capital is {t}." for c, _, t, _, z, _ in rows)
    return Piece(
        r.choice(["What is the capital of {}?", "Which city is the capital of {}?"]).format(country),
        answer,
        f"{more} {answer}",
    )


def story(r: Random, zh: bool) -> Piece:
    """Somebody loses something, and somebody helps."""
    k = int(zh)
    hero, friend = (p[k] for p in r.sample(PEOPLE, 2))
    weather, place, where, lost, feeling, lesson = (
        r.choice(table)[k] for table in (WEATHER, PLACES, PLACES, LOST, FEELINGS, LESSONS)
    )
    if zh:
        text = r.choice([f"那天天气{weather}，", f"一个{weather}的早晨，", "有一天，"])
        text += r.choice([f"{hero}{place}玩，忽然发现自己丢了{lost}。", f"{hero}{place}散步时丢了{lost}，心里很着急。"])
        text += r.choice(
            [
                f"{friend}听说以后马上过来帮忙。",
                f"{hero}找到{friend}，说明了事情的经过。",
                f"正好路过的{friend}停下来问发生了什么。",
            ]
        )
        text += r.choice([f"他们一起回想走过的路，最后{where}找到了它。", f"他们问了好几个人，终于{where}看见了它。"])
        text += r.choice([f"{hero}觉得很{feeling}，向{friend}道了谢。", f"{hero}笑了，{friend}也很{feeling}。"])
        text += r.choice([f"从那以后，{hero}明白了：{lesson}。", f"回家的路上，两个人都觉得{lesson}。"])
        return Piece(f"讲一个关于{hero}和{friend}的小故事。", text, text)
    text = " ".join(
        [
            r.choice(
                [
                    f"It was a {weather} morning.",
                    f"One {weather} day, something happened to {hero}.",
                    "Not long ago, this happened.",
                ]
            ),
            r.choice(
                [f"{hero} was {place} and saw that {lost} was gone.", f"While walking {place}, {hero} lost {lost}."]
            ),
            r.choice(
                [
                    f"{friend} came to help at once.",
                    f"{hero} told {friend} about it.",
                    f"{friend} stopped and asked what was wrong.",
                ]
            ),
            r.choice(
                [
                    f"They thought about every step and found it {where}.",
                    f"They asked many people and saw it at last {where}.",
                ]
            ),
            r.choice(
                [f"{hero} felt {feeling} and thanked {friend}.", f"{hero} smiled, and {friend} was {feeling} too."]
            ),
            r.choice([f"Since then {hero} knows that {lesson}.", f"On the way home they agreed that {lesson}."]),
        ]
    )
    return Piece(f"Tell me a short story about {hero} and {friend}.", text, text)


def instruction(r: Random, zh: bool) -> Piece:
    """How to do something, step by step."""
    task, task_zh, steps, steps_zh = r.choice(HOWTOS)
    person = r.choice(PEOPLE)
    if zh:
        parts = steps_zh.split(";")
        listed = "\n".join(f"{number}. {step}" for number, step in enumerate(parts, 1))
        told = "，".join(f"{word}{step}" for word, step in zip(ORDINALS_ZH, parts, strict=True)) + "。"
        answer = r.choice([listed, told])
        return Piece(
            r.choice([f"怎样{task_zh}？", f"请告诉我{task_zh}的步骤。"]),
            answer,
            f"{person[1]}想知道怎样{task_zh}。{told}",
        )
    parts = steps.split(";")
    listed = "\n".join(f"{number}. {capital(step)}." for number, step in enumerate(parts, 1))
    told = " ".join(f"{word}, {step}." for word, step in zip(ORDINALS, parts, strict=True))
    answer = r.choice([listed, told])
    question = r.choice(["How do I {}?", "What are the steps to {}?"]).format(task)
    return Piece(question, answer, f"{person[0]} wants to {task}. {told}")


def translation(r: Random, zh: bool) -> Piece:
    """Words in the other language."""
    chosen = r.sample(WORDS, r.randint(4, 8))
    en, cn = chosen[0]
    if zh:
        text = "，".join(f"“{b}”的英文是 {a}" for a, b in chosen) + "。"
        return Piece(r.choice([f"“{cn}”用英语怎么说？", f"把“{cn}”翻译成英文。"]), f"“{cn}”的英文是 {en}。", text)
    text = ", ".join(f'"{a}" is {b}' for a, b in chosen)
    return Piece(f'What is "{en}" in Chinese?', f'"{en}" is {cn} in Chinese.', f"Some words in Chinese: {text}.")


def talk(r: Random, zh: bool) -> Piece:
    """Two people talk about the day."""
    k = int(zh)
    (one, two), weather, place = (p[k] for p in r.sample(PEOPLE, 2)), r.choice(WEATHER)[k], r.choice(PLACES)[k]
    wanted, word = r.choice(LOST)[k], r.choice(FEELINGS)[k]
    if zh:
        question, answer = f"你好，我是{one}，今天做点什么好？", f"你好，{one}！今天天气{weather}，可以{place}走走。"
        lines = [f"{one}：你今天去哪儿了？", f"{two}：我{place}，天气{weather}。", f"{one}：有什么新鲜事吗？"]
        lines += [
            f"{two}：我看见了{wanted}，觉得很{word}。",
            r.choice([f"{one}：真好，下次带上我。", f"{one}：听起来不错！"]),
        ]
        return Piece(question, answer, "\n".join(lines))
    question = f"Hello, I am {one}. What could I do today?"
    answer = f"Hello, {one}! It is {weather} today, so you could spend some time {place}."
    lines = [
        f"{one}: Where were you today?",
        f"{two}: I was {place}. It was {weather}.",
        f"{one}: Did anything happen?",
    ]
    lines += [
        f"{two}: I saw {wanted}, and I felt {word}.",
        r.choice([f"{one}: Take me along next time.", f"{one}: That sounds good!"]),
    ]
    return Piece(question, answer, "\n".join(lines))


TEXTS = (animal, comparison, thing, city, story, instruction, translation, talk)
