"""Texts from Python: accepted values, and errors that name the place of any other value."""

from __future__ import annotations

import math

import numpy
import pandas
import pyarrow
import pytest

from lightner.texts import checked_texts
from lightner.types import InputError


@pytest.mark.parametrize(
    "texts",
    [
        ["Ada lives", ["in", "Paris"], ("and", "Rome")],
        (each for each in ("Ada lives", ["in", "Paris"], ("and", "Rome"))),
        pandas.Series(["Ada lives", ["in", "Paris"], numpy.array(["and", "Rome"])], index=[7, 8, 9]),
        {1: "Ada lives", 2: ["in", "Paris"], 3: ["and", "Rome"]}.values(),
    ],
    ids=["list", "generator", "series", "view"],
)
def test_any_iterable_of_strings_and_lists_of_words_are_texts(texts: object) -> None:
    assert checked_texts(texts) == ("Ada lives", ("in", "Paris"), ("and", "Rome"))


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        ("Ada lives", "texts: found the string 'Ada lives', expected a list of texts"),
        (None, "texts: found None, expected a list of texts"),
        (3, "texts: found 3 (int), expected a list of texts"),
        (b"Ada", "texts: found b'Ada' (bytes), expected a list of texts"),
        ({"Ada"}, "texts: found {'Ada'} (set), expected a list of texts"),
        ({"text": "Ada"}, "texts: found a dict, expected a list of texts, such as one of its columns or values"),
        (pandas.DataFrame({"text": ["Ada"]}), "texts: found a DataFrame, expected a list of texts, such as one of its"),
        (
            pyarrow.table({"text": ["Ada"]}),
            "texts: found a Table, expected a list of texts, such as one of its columns",
        ),
        (["Ada", math.nan], "texts[1]: found nan (float), expected a string or a list of words"),
        (
            pandas.Series(["Ada", None], dtype="str"),
            "texts[1]: found nan (float), expected a string or a list of words",
        ),
        (["Ada", None], "texts[1]: found None, expected a string or a list of words"),
        ([b"Ada"], "texts[0]: found b'Ada' (bytes), expected a string or a list of words"),
        ([{"text": "Ada"}], "texts[0]: found {'text': 'Ada'} (dict), expected a string or a list of words"),
        (numpy.zeros(1), "texts[0]: found np.float64(0.0) (float64), expected a string or a list of words"),
        (["Ada", ["in", 3]], "texts[1][1]: found 3 (int), expected a word as a string"),
        ([["in", ["Paris"]]], "texts[0][1]: found ['Paris'] (list), expected a word as a string"),
        ([["in", ""]], "texts[0][1]: found '', expected a word without white space around it"),
        ([["in\n"]], "texts[0][0]: found 'in\\n', expected a word without white space around it"),
        ([["\ud83c"]], "texts[0][0]: found half of a surrogate pair, expected text that UTF-8 can hold"),
    ],
)
def test_a_value_that_is_not_a_list_of_texts_is_named_with_its_place(texts: object, said: str) -> None:
    with pytest.raises(InputError) as caught:
        checked_texts(texts)
    assert str(caught.value).startswith(said)
