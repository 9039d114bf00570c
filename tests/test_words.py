"""The words of figures and tables."""

from __future__ import annotations

import string

import pytest

from fer_lib.emotions import LANGUAGES
from fer_lib.errors import InputError
from fer_lib.faces import REGIONS
from fer_lib.words import words, written


def test_no_word_is_empty_in_any_language():
    assert all(text.strip() for language in LANGUAGES for text in words(language).values())


def test_a_word_has_the_same_places_for_numbers_in_all_languages():
    def places(text):
        return sorted((field, form) for _, field, form, _ in string.Formatter().parse(text) if field)

    english, chinese = words("en"), words("zh-TW")
    assert {key: places(text) for key, text in chinese.items()} == {
        key: places(text) for key, text in english.items()
    }


def test_the_terms_are_those_of_taiwan():
    word = words("zh-TW")
    assert (word["accuracy"], word["validation"], word["confusion_matrix"]) == ("準確率", "驗證", "混淆矩陣")


def test_every_region_of_a_drawn_face_has_a_word():
    assert set(REGIONS) <= set(words("en"))


def test_an_unknown_language_is_an_error_that_names_the_languages():
    with pytest.raises(InputError, match=r"no language 'fr'; the languages are en, zh-TW"):
        words("fr")


@pytest.mark.parametrize(
    ("value", "spec", "text"),
    [
        (-0.25, ".2f", "−0.25"),
        (-0.0004, ".1%", "−0.0%"),
        (6e-28, ".1g", "6e-28"),
        ("a-b", "", "a-b"),
        (-3, "", "−3"),
    ],
)
def test_negative_numbers_have_a_true_minus_sign(value, spec, text):
    assert written(value, spec) == text
