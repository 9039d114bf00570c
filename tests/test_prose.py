from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from hypothesis import given
from hypothesis import strategies as st

from fer_lib.errors import InputError
from fer_lib.publish.prose import Section, check_texts, read_sections

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
