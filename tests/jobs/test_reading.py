"""When the data report warns of what a backbone does not know."""

from __future__ import annotations

import pytest

from lightner.data.inspection import inspect
from lightner.jobs.reading import WARNED_FROM, covered, with_warnings
from lightner.model import embedded
from lightner.model.vocabulary import Coverage
from lightner.types import LabelSet, Sentence, Span
from lightner.words import split_words
from tests.support.tiny import tiny_tokenizer

ADA = Sentence(("ada", "likes", "rome"), (Span(0, 1, "person"),))


@pytest.mark.parametrize(("unknown", "warned"), [(0, False), (9, False), (10, True), (500, True)])
def test_unknown_sub_words_are_warned_of_from_one_in_a_hundred(unknown: int, warned: bool) -> None:
    assert WARNED_FROM == 0.01
    found = Coverage(1000, unknown, ("東", "京"))
    report = with_warnings(inspect([ADA]), found, labels=LabelSet.of(["person"]), tokenizer=tiny_tokenizer())
    said = [each for each in report.warnings if each.startswith("The backbone does not know")]
    assert len(said) == warned
    if warned:
        assert f"{unknown / 1000:.1%} of the sub-words, such as '東', '京'" in said[0]


@pytest.mark.parametrize(
    ("text", "warned"),
    [
        ("Ada ordered two loaves of rye bread in Rome on Monday.", False),
        ("请把两个面包送到巷子里的咖啡馆。", True),
        ("明日の朝、駅前の喫茶店で会いましょう。", True),
        ("พรุ่งนี้ฉันจะไปเชียงใหม่กับเพื่อน", True),
    ],
)
def test_the_embedded_backbone_is_warned_of_on_scripts_that_it_has_not_learned(text: str, warned: bool) -> None:
    sentence = Sentence(tuple(word.text for word in split_words(text)), (Span(0, 1, "person"),))
    known = covered(embedded.load().tokenizer, [sentence])
    report = with_warnings(inspect([sentence]), known, labels=LabelSet.of(["person"]), tokenizer=tiny_tokenizer())
    assert any(each.startswith("The backbone does not know") for each in report.warnings) is warned
