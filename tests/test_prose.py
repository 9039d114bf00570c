import base64
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from hypothesis import given
from hypothesis import strategies as st
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import RichOutput, capture_output

from fer_lib.errors import InputError
from fer_lib.publish.prose import METADATA, Answer, Section, check_texts, read_sections

HOSTILE = [
    "<script>alert(1)</script>",
    '#import "x"',
    r"$\input{/etc/passwd}$",
    "*bold* _it_ `code` [a](b) **c**",
    "back\\slash 'quotes\" & &amp; {braces}",
]


def section(text: str, path: Path = Path("q1.md")) -> Section:
    return Section("key", text, path, 1)


def write(folder: Path, language: str, text: str, name: str = "q1.md") -> Path:
    path = folder / language / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def shown(tmp_path: Path) -> Iterator[Callable[[str, Callable[[Answer], None]], list[RichOutput]]]:
    """Calls an Answer over the given words and returns what IPython would display."""
    InteractiveShell.instance()

    def show(words: str, call: Callable[[Answer], None]) -> list[RichOutput]:
        write(tmp_path, "en", words)
        with capture_output() as captured:
            call(Answer("q1", "en", texts=tmp_path))
        return list(captured.outputs)

    yield show
    InteractiveShell.clear_instance()


def note(output: RichOutput) -> dict[str, Any]:
    return dict(output.metadata[METADATA])


# Sections


def test_a_file_is_read_as_sections_in_its_order(tmp_path: Path) -> None:
    path = write(tmp_path, "en", "A note.\n\n## b\n\nfirst\n\n### A heading\n\n## a.alt\nsecond\n")
    assert [(s.key, s.text, s.line) for s in read_sections(path).values()] == [
        ("b", "first\n\n### A heading", 5),
        ("a.alt", "second", 10),
    ]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("## a\nx\n\n## a\ny\n", "line 4: the section 'a' stands there for the second time"),
        ("## a\nx\n\n## Two words\ny\n", "line 4: '## Two words' starts a section"),
        ("## a\n\n## b\ny\n", "line 1: the section 'a' is empty"),
        ("## a\n\nopen {brace\n", "line 3: the braces of section 'a' do not match"),
        ("## a\nx\n{name!r}\n", "line 3: {name!r} is no placeholder"),
        ("## a\n{f()}\n", "line 2: {f()} is no placeholder"),
        ("## a\n{}\n", "line 2: {} is no placeholder"),
    ],
)
def test_an_error_in_a_file_names_the_line(tmp_path: Path, text: str, complaint: str) -> None:
    path = write(tmp_path, "en", text)
    with pytest.raises(InputError) as error:
        read_sections(path)
    assert f"{path}, {complaint}" in str(error.value)


def test_a_file_that_is_not_utf_8_is_an_input_error(tmp_path: Path) -> None:
    path = tmp_path / "q1.md"
    path.write_bytes("## a\n生氣\n".encode("big5"))
    with pytest.raises(InputError, match="is not UTF-8"):
        read_sections(path)


def test_a_missing_file_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"q9\.md cannot be read"):
        read_sections(tmp_path / "q9.md")


# Placeholders


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("{accuracy.private:.2%}", "66.51%"),
        ("{epochs}", "100"),
        ("{seconds:.0f} s", "82 s"),
        ("{pairs[1].name}", "Sad"),
        ("{{x}} {epochs:>5}", "{x}   100"),
    ],
)
def test_a_placeholder_shows_its_fact_in_its_format(text: str, filled: str) -> None:
    facts = {
        "accuracy": {"private": 0.66508},
        "epochs": 100,
        "seconds": 82.3,
        "pairs": [{"name": "Fear"}, {"name": "Sad"}],
    }
    assert section(text).plain(facts) == filled


def test_an_unknown_placeholder_names_the_line_and_the_nearest_fact() -> None:
    with pytest.raises(
        InputError, match=r"q1\.md, line 2: nothing is known of \{acuracy\.x\}; did you mean 'accuracy\.x'"
    ):
        section("one\n{acuracy.x}").plain({"accuracy": {"x": 1}, "epochs": 2})


def test_a_format_that_does_not_fit_is_an_input_error() -> None:
    with pytest.raises(InputError, match=r"\{name\} is 'Sad', which the format '\.2%' does not fit"):
        section("{name:.2%}").plain({"name": "Sad"})


@pytest.mark.parametrize("value", [True, None, ["a"], {"a": 1}])
def test_a_placeholder_shows_numbers_and_strings_only(value: object) -> None:
    with pytest.raises(InputError, match="a placeholder shows a number or a string"):
        section("{value}").plain({"value": value})


def test_a_placeholder_reaches_no_attribute() -> None:
    with pytest.raises(InputError, match="nothing is known of"):
        section("{name.__class__}").plain({"name": "Sad"})


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize(
    "text", ["{name}", "a **{name}** b", "`{name}`", "- {name}", "|a|\n|-|\n|{name}|", "# {name}"]
)
def test_a_string_fact_appears_verbatim_in_html(text: str, name: str) -> None:
    soup = BeautifulSoup(section(text).html({"name": name}), "html.parser")
    assert name in soup.get_text()
    assert not soup.find(["script", "a"])


@given(st.text(alphabet=st.characters(blacklist_categories=["Cs", "Cc"]), min_size=1))
def test_any_string_fact_survives_markdown(name: str) -> None:
    html = section("before **{name}** after").html({"name": name})
    strong = BeautifulSoup(html, "html.parser").strong
    assert strong is not None
    assert strong.get_text() == name


def test_raw_html_in_the_prose_is_text() -> None:
    assert "&lt;b&gt;" in section("a <b>c</b>").html({})


def test_an_inline_section_has_no_paragraph_around_it() -> None:
    assert section("After **{n}** epochs").html({"n": 3}, inline=True) == "After <strong>3</strong> epochs"


# Agreement between the languages


def test_texts_that_agree_have_no_problems(tmp_path: Path) -> None:
    write(tmp_path, "en", "## curves\nAfter {n} epochs\n\n## text\nSee [it](#curves), [there](#q2.curves)\n")
    write(tmp_path, "zh-TW", "## curves\n訓練 {n:.0f} 回\n\n## text\n見[圖](#curves)\n")
    assert check_texts(tmp_path) == []


@pytest.mark.parametrize(
    ("english", "problem"),
    [
        ("## a\n{n}\n", "has no section 'b'"),
        ("## a\nwords\n\n## b\nx\n", "section 'a' does not use {n}"),
        ("## a\n{n} [x](#c)\n\n## b\nx\n", "the link #c leads to no section"),
        ("## a\n{n} a**“b”**c\n\n## b\nx\n", "** does not close"),
    ],
)
def test_what_does_not_agree_is_said(tmp_path: Path, english: str, problem: str) -> None:
    write(tmp_path, "en", english)
    write(tmp_path, "zh-TW", "## a\n{n}\n\n## b\nx\n")
    assert [p for p in check_texts(tmp_path) if problem in p and f"en{'/'}q1.md" in p]


def test_a_file_that_one_language_lacks_is_said(tmp_path: Path) -> None:
    write(tmp_path, "en", "## a\nx\n")
    write(tmp_path, "zh-TW", "## a\nx\n")
    write(tmp_path, "zh-TW", "## a\nx\n", name="q2.md")
    assert check_texts(tmp_path) == [f"{tmp_path / 'en' / 'q2.md'} is missing."]


# Answers in a notebook

Shown = Callable[[str, Callable[[Answer], None]], list[RichOutput]]


def test_a_text_is_shown_filled_and_keeps_its_facts(shown: Shown) -> None:
    (output,) = shown("## a.b\nIt is **{x:.1%}**\n", lambda answer: answer.text("a.b", x=0.5))
    assert output.data["text/html"] == "<p>It is <strong>50.0%</strong></p>"
    assert note(output) == {
        "question": "q1",
        "language": "en",
        "kind": "text",
        "key": "a.b",
        "facts": {"x": 0.5},
    }


def test_numpy_facts_are_kept_as_json(shown: Shown) -> None:
    (output,) = shown(
        "## a\nx\n",
        lambda answer: answer.facts(
            accuracy=np.float32(0.5), counts=np.arange(2), by={3: (1, 2)}, none=float("nan")
        ),
    )
    assert note(output)["facts"] == {"accuracy": 0.5, "counts": [0, 1], "by": {"3": [1, 2]}, "none": None}


def test_a_fact_that_json_cannot_keep_is_an_input_error(shown: Shown) -> None:
    with pytest.raises(InputError, match="is no fact"):
        shown("## a\nx\n", lambda answer: answer.facts(run=Path("x")))


def test_an_unknown_section_names_the_nearest(shown: Shown) -> None:
    with pytest.raises(InputError, match=r"q1\.md has no section 'trainig'; did you mean 'training'"):
        shown("## training\nx\n", lambda answer: answer.text("trainig"))


def test_unknown_words_name_those_that_there_are(tmp_path: Path) -> None:
    write(tmp_path, "en", "## a\nx\n")
    with pytest.raises(InputError, match=r"fr/q1\.md does not exist; there are en/q1\.md"):
        Answer("q1", "fr", texts=tmp_path)


def test_a_table_has_a_caption_and_scoped_headers_and_formatted_cells(shown: Shown) -> None:
    frame = pd.DataFrame({"layer": ["<conv>", "dense"], "count": [36928, 7], "share": [0.25, np.nan]})
    (output,) = shown(
        "## t\nThe {n} layers\n",
        lambda answer: answer.table(frame, "t", formats={"count": ",d", "share": ".0%"}, n=2),
    )
    soup = BeautifulSoup(output.data["text/html"], "html.parser")
    assert soup.caption is not None
    assert soup.caption.get_text() == "The 2 layers"
    assert [th.get_text() for th in soup.select("th[scope=col]")] == ["layer", "count", "share"]
    assert [th.get_text() for th in soup.select("th[scope=row]")] == ["<conv>", "dense"]
    assert [td.get_text() for td in soup.select("td")] == ["36,928", "25%", "7", ""]


def test_a_format_for_no_column_is_an_input_error(shown: Shown) -> None:
    with pytest.raises(InputError, match="the table 't' has no column 'shares'; did you mean 'share'"):
        shown(
            "## t\nx\n",
            lambda answer: answer.table(pd.DataFrame({"share": [1]}), "t", formats={"shares": ".0%"}),
        )


def draw(answer: Answer, *, raster: bool = False) -> None:
    figure, axes = plt.subplots(figsize=(3, 2))
    axes.plot([0, 1])
    answer.figure(figure, "curves", raster=raster, n=3)


CURVES = "## curves\nAfter {n} epochs\n\n## curves.alt\nA line that rises over {n} epochs\n"


def test_a_figure_is_shown_as_svg_with_its_caption_and_closed(shown: Shown) -> None:
    figure, caption = shown(CURVES, draw)
    assert figure.data["image/svg+xml"].startswith("<?xml")
    assert figure.data["text/plain"] == "A line that rises over 3 epochs"
    assert "After 3 epochs" in caption.data["text/html"]
    assert plt.get_fignums() == []


def test_a_raster_figure_is_shown_as_png(shown: Shown) -> None:
    figure, _ = shown(CURVES, lambda answer: draw(answer, raster=True))
    assert base64.b64decode(figure.data["image/png"]).startswith(b"\x89PNG")


def test_a_figure_drawn_twice_gives_the_same_bytes(shown: Shown) -> None:
    first, second = (shown(CURVES, draw)[0].data["image/svg+xml"] for _ in range(2))
    assert first == second


def test_a_figure_without_a_description_is_an_input_error(shown: Shown) -> None:
    with pytest.raises(InputError, match=r"has no section 'curves\.alt'"):
        shown("## curves\nAfter {n} epochs\n", draw)
