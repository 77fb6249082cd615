"""Which number is the answer, and which numbers are the same."""

from fractions import Fraction

import pytest

from trainer.answers import last_number, same_number, same_text


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("She has 72.", 72),
        ("12.50 dollars", Fraction(25, 2)),
        ("1,234", 1234),
        ("1,234,567.5 in all", Fraction(2469135, 2)),
        ("first 12,34", 34),
        ("x=-3", -3),
        ("It is −3 °C", -3),
        ("5-3", 3),
        ("10 - 3 = 7", 7),
        ("(4)-3", 3),
        ("3/4", Fraction(3, 4)),
        ("-3 / 4", Fraction(-3, 4)),
        ("\\frac{3}{4}", Fraction(3, 4)),
        ("7/0", 0),
        ("50%", 50),
        ("50\\%", 50),
        ("$72", 72),
        ("-$72", -72),
        ("$-72", -72),
        ("￥１２．５０", Fraction(25, 2)),
        ("一共７２个", 72),
        ("１，２", 2),
        ("1{,}234", 1234),
        (".5", Fraction(1, 2)),
        ("72. Or 73?", 73),
        ("none at all", None),
        ("", None),
        ("9" * 5000, None),
    ],
)
def test_the_last_number_of_a_text(text: str, number: Fraction | None) -> None:
    assert last_number(text) == number


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("<think>1 or 2</think><answer>\n72 clips\n</answer> 99", True),
        ("<answer>71</answer> no, <answer>72</answer>", True),
        ("so \\boxed{72} and 99", True),
        ("so \\boxed{\\text{72}} and 99", True),
        ("\\boxed{71} \\boxed{72", False),
        ("} \\boxed{71} {\\boxed{ {} 72 {x} } 5", True),
        ("\\boxed{" * 50_000 + "72", True),
        ("<think>72</think>\n\nIt is 71", False),
        ("<think>71</think>\n\nIt is 72.00", True),
        ("It is 36 + 36 = 72.", True),
        ("<answer>unclosed 72", True),
        ("<answer></answer> 72", False),
        ("", False),
    ],
)
def test_where_the_answer_stands(text: str, right: bool) -> None:
    assert same_number(text, ("72",)) is right


def test_any_right_answer_counts_whatever_its_notation() -> None:
    assert same_number("0.75", ("3/4",)) and same_number("75 %", ("1", "75%")) and not same_number("0.33", ("1/3",))


def test_right_answers_without_a_number_are_a_mistake_in_the_data() -> None:
    with pytest.raises(ValueError, match=r"\['Paris'\] holds no number; .* mode to exact"):
        same_number("Paris", ("Paris",))
    assert same_number("2", ("two", "2"))


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("Paris", True),
        (" paris \n", True),
        ("<think>London?</think>\n\nＰＡＲＩＳ", True),
        ("<answer>\nParis\n</answer>", True),
        ("It is Paris", False),
        ("", False),
    ],
)
def test_answers_in_words_are_compared_as_a_whole(text: str, right: bool) -> None:
    assert same_text(text, ("Rome", "Paris")) is right
