"""The words of figures, captions and the page, in both languages."""

import json
import math
import re
import string
from collections.abc import Iterator, Mapping

import jinja2
import pytest
from conftest import ROOT

from fer_lib.data.faces import REGIONS
from fer_lib.emotions import LANGUAGES
from fer_lib.errors import InputError
from fer_lib.labels import format_interval, format_number, label_file, labels

FILES = {language: label_file(language) for language in LANGUAGES}
CAPTIONS = {language: file["captions"] for language, file in FILES.items()}
TEMPLATES = ROOT / "report" / "templates"


def leaves(tree: object, name: str = "") -> Iterator[tuple[str, object]]:
    """Everything in a file by dotted name."""
    items = tree.items() if isinstance(tree, Mapping) else enumerate(tree) if isinstance(tree, list) else ()
    yield from ((name, tree),) if not items else ()
    for key, value in items:
        yield from leaves(value, f"{name}.{key}")


def expressions(template: str) -> list[str]:
    """What a template shows, without the formats of its numbers."""
    found = re.findall(r"\{\{-?\s*(.+?)\s*-?\}\}", template, re.DOTALL)
    return sorted(re.sub(r"\s+", " ", re.sub(r"\s*\|\s*(?:num|pct)(?:\(\d\))?$", "", each)) for each in found)


def fields(text: str) -> list[tuple[str, str]]:
    return sorted((field, form or "") for _, field, form, _ in string.Formatter().parse(text) if field)


def test_both_languages_have_the_same_keys():
    english, chinese = (dict(leaves(FILES[language])) for language in ("en", "zh-TW"))
    assert english.keys() == chinese.keys()


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_text_is_empty_or_a_number_or_yes(language):
    assert [
        name for name, text in leaves(FILES[language]) if not (isinstance(text, str) and text.strip())
    ] == []


@pytest.mark.parametrize("part", ["caption", "alt"])
def test_captions_show_the_same_values_in_both_languages(part):
    english, chinese = (
        {key: expressions(texts.get(part, "")) for key, texts in CAPTIONS[language].items()}
        for language in ("en", "zh-TW")
    )
    assert english == chinese


@pytest.mark.parametrize("group", ["words", "page", "sweep"])
def test_words_have_the_same_places_for_numbers_in_both_languages(group):
    english, chinese = (
        {key: fields(text) for key, text in FILES[language][group].items()} for language in ("en", "zh-TW")
    )
    assert english == chinese


@pytest.mark.parametrize("language", LANGUAGES)
def test_captions_are_templates(language):
    environment = jinja2.Environment()
    environment.filters |= dict.fromkeys(("pct", "num", "code"), str)
    for texts in CAPTIONS[language].values():
        for template in texts.values():
            environment.parse(template)


def test_every_caption_is_of_a_figure_or_table_in_a_notebook():
    cells = [
        "".join(cell["source"])
        for path in (ROOT / "notebooks").glob("*.ipynb")
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]
    ]
    code = "\n".join(cells)
    assert [key for key in CAPTIONS["en"] if f'"{key}"' not in code] == []


def test_english_is_english():
    texts = [name for name, text in leaves(FILES["en"]) if re.search(r"[\u3400-\u9fff]", str(text))]
    assert texts == []


def test_terms_are_those_of_taiwan():
    words = labels("zh-TW")
    assert (words["accuracy"], words["validation"], words["confusion_matrix"]) == (
        "準確率",
        "驗證",
        "混淆矩陣",
    )


def test_regions_have_their_words():
    assert set(REGIONS) <= set(labels("en"))


def test_page_asks_for_no_word_that_is_not_there():
    templates = "".join(path.read_text(encoding="utf-8") for path in TEMPLATES.glob("*/*.*"))
    asked = re.findall(r"\blabels\.(?!format)(\w+)|\bwords\(\w+\)\.(\w+)", templates)
    assert {a or b for a, b in asked} - set(FILES["en"]["page"]) == set()
    assert len(asked) > 20


def test_unknown_language_is_an_input_error_that_names_the_languages():
    for read in (labels, label_file):
        with pytest.raises(InputError, match=r"no language 'fr'; the languages are en, zh-TW"):
            read("fr")


@pytest.mark.parametrize(
    ("value", "spec", "text"),
    [
        (-0.25, ".2f", "−0.25"),
        (-0.0004, ".1%", "−0.0%"),
        (6e-28, ".1g", "6e-28"),
        ("a-b", "", "a-b"),
        (-3, "", "−3"),
        (28709, ",", "28,709"),
    ],
)
def test_negative_numbers_have_a_true_minus_sign(value, spec, text):
    assert format_number(value, spec) == text


@pytest.mark.parametrize(
    ("numbers", "spec", "text"),
    [
        ((0.587, 0.554, 0.618), ".1%", "58.7% [55.4, 61.8]"),
        ((-0.13, -0.3, 0.03), ".2f", "−0.13 [−0.30, 0.03]"),
        ((0.5, math.nan, math.nan), ".2f", "0.50"),
        ((math.nan, math.nan, math.nan), ".2f", ""),
    ],
)
def test_an_interval_stands_in_brackets_after_its_number(numbers, spec, text):
    assert format_interval(*numbers, spec=spec) == text
