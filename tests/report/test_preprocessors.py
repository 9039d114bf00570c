"""What happens to executed notebooks before a template sets them."""

import base64
import copy
import io
from typing import Any

import pytest
from PIL import Image
from report_project import executed, merged, parsed

from fer_lib.errors import InputError
from fer_lib.report.notes import METADATA
from fer_lib.report.preprocessors import (
    LinkOutputs,
    NumberCitations,
    NumberOutputs,
    PlaceCells,
    RenderMarkdown,
    SplitChapters,
)

FIGURE = "figure(lines(), {!r}, caption='A curve', alt='It rises')"
TABLE = "table(pd.DataFrame({{'a': ['x']}}), {!r}, caption='Letters')"


def prepared(notebook: Any) -> tuple[Any, dict[str, Any]]:
    """A notebook as the templates get it, and the resources."""
    nb, resources = copy.deepcopy(notebook), {"metadata": {"name": "q1"}}
    steps = (PlaceCells, NumberCitations, RenderMarkdown, NumberOutputs, LinkOutputs, SplitChapters)
    for step in (each() for each in steps):
        nb, resources = step.preprocess(nb, resources)
    return nb, resources


def notes(nb: Any, kind: str = "") -> list[dict[str, Any]]:
    """What is noted of figures and tables."""
    outputs = [output for cell in nb.cells for output in cell.get("outputs", [])]
    found = [output.metadata[METADATA] for output in outputs if METADATA in output.metadata]
    return [note for note in found if note["kind"] in ((kind,) if kind else ("figure", "table"))]


def passages(nb: Any) -> list[str]:
    """The texts of Markdown cells and passages, with their links as in Markdown."""
    outputs = [output for cell in nb.cells for output in cell.get("outputs", [])]
    shown = [output.data["text/html"] for output in outputs if "text/markdown" in output.get("data", {})]
    found = []
    for html in [cell.source for cell in nb.cells if cell.cell_type == "markdown"] + shown:
        soup = parsed(html)
        for link in soup.find_all("a"):
            link.replace_with(f"[{link.get_text()}]({link['href']})")
        found.append(plain(soup.get_text().strip()))
    return found


def plain(text: str) -> str:
    """A text whose numbers may be parted from their words."""
    return text.replace("\N{NO-BREAK SPACE}", " ")


# Numbers


def test_figures_and_tables_are_numbered_apart_through_all_notebooks_in_each_language(tmp_path):
    notebooks = {
        language: {
            "q1": executed(
                FIGURE.format("one"), TABLE.format("two"), FIGURE.format("three"), language=language
            ),
            "q2": executed(TABLE.format("four"), language=language),
        }
        for language in ("zh-TW", "en")
    }
    nb, _ = prepared(merged(tmp_path, notebooks))
    assert [(note["id"], plain(note["label"])) for note in notes(nb)] == [
        ("one", "圖 1"), ("two", "表 1"), ("three", "圖 2"), ("four", "表 2"),
        ("en-one", "Figure 1"), ("en-two", "Table 1"), ("en-three", "Figure 2"), ("en-four", "Table 2"),
    ]  # fmt: skip


def test_number_stands_before_the_caption_and_links_to_its_figure():
    nb, _ = prepared(executed(FIGURE.format("one"), TABLE.format("two")))
    [figure], [table] = (cell.outputs for cell in nb.cells)
    assert parsed(figure.data["text/html"]).figcaption.get_text() == "Figure\N{NO-BREAK SPACE}1 A curve"
    assert parsed(table.data["text/html"]).caption.get_text() == "Table\N{NO-BREAK SPACE}1 Letters"
    assert parsed(figure.data["text/html"]).select_one("figcaption a")["href"] == "#one"


def test_every_id_of_the_second_language_has_a_prefix_and_its_radio_buttons_are_its_own(tmp_path):
    cells = [
        FIGURE.format("one"),
        TABLE.format("two"),
        """
grid = Cells(["a", "b"], np.eye(2, dtype=int), np.zeros((2, 4, 4), np.uint8), np.arange(2), np.eye(2))
figure(lines(), "matrix", caption="[this](#matrix), not [that](#one), #matrix-cells", alt="#matrix", interactive=grid)
steps = Frames(["a", "b"], np.zeros((2, 1, 4, 4), np.uint8), "slider", "Step")
figure(lines(), "steps", caption="c", alt="a", interactive=steps)
""",
    ]
    notebooks = {language: {"q1": executed(*cells, language=language)} for language in ("zh-TW", "en")}
    nb, _ = prepared(merged(tmp_path, notebooks))
    first, second = (
        parsed("".join(output.data["text/html"] for cell in part for output in cell.outputs))
        for part in (nb.cells[:3], nb.cells[3:])
    )
    assert [tag["id"] for tag in second.select("[id]")] == [f"en-{tag['id']}" for tag in first.select("[id]")]
    groups = [{radio["name"] for radio in soup.select("input")} for soup in (first, second)]
    assert [len(group) for group in groups] == [2, 2] and not groups[0] & groups[1]
    assert [a["href"] for a in second.select("figcaption a")] == [
        "#en-one", "#en-matrix", "#en-matrix", "#en-one", "#en-steps"
    ]  # fmt: skip
    caption = plain(second.find("figure", id="en-matrix").figcaption.get_text())
    assert caption == "Figure 2 Figure 2, not Figure 1, #matrix-cells"
    assert second.select_one(".unseen").get_text() == "#matrix"


def test_name_of_two_figures_is_an_input_error():
    with pytest.raises(InputError, match=r"q1\.ipynb, cell In \[2\]: 'one' names two"):
        prepared(executed(FIGURE.format("one"), TABLE.format("one")))


def test_picture_without_a_description_is_an_input_error():
    notebook = executed("1", "from IPython.display import Image\nImage(PNG, format='png')", PNG=picture())
    with pytest.raises(InputError, match=r"q1\.ipynb, cell In \[2\] shows a picture without a description"):
        prepared(notebook)


# Links


def test_link_to_a_figure_or_table_shows_its_number_and_one_to_a_chapter_its_words(tmp_path):
    text = "%%prose\nSee [below](#one), [there](#two), [**all**](#q2) and [elsewhere](https://a.org/#one)."
    notebooks = {
        language: {
            "q1": executed(text, FIGURE.format("one"), language=language),
            "q2": executed(TABLE.format("two"), language=language),
        }
        for language in ("zh-TW", "en")
    }
    nb, _ = prepared(merged(tmp_path, notebooks))
    assert passages(nb) == [
        "See [圖 1](#one), [表 1](#two), [all](#q2) and [elsewhere](https://a.org/#one).",
        "See [Figure 1](#en-one), [Table 1](#en-two), [all](#en-q2) and [elsewhere](https://a.org/#one).",
    ]


def test_link_in_a_markdown_cell_shows_the_number():
    nb, _ = prepared(executed(" My own [words](#one)", FIGURE.format("one")))
    assert passages(nb) == ["My own [Figure 1](#one)"]


def test_link_in_a_caption_shows_the_number_wherever_the_caption_is_set():
    caption = "table(pd.DataFrame({'a': ['x']}), 'two', caption='As in [the figure](#one)')"
    nb, _ = prepared(executed(caption, FIGURE.format("one")))
    assert plain(notes(nb, "table")[0]["caption"]) == 'As in <a href="#one">Figure 1</a>'
    [output] = nb.cells[0].outputs
    assert plain(parsed(output.data["text/html"]).caption.get_text()) == "Table 1 As in Figure 1"


def test_link_whose_words_look_like_markup_shows_the_number():
    nb, _ = prepared(executed("%%prose\nSee [{{ name }}](#one)", FIGURE.format("one"), name="[a](b) `c"))
    assert passages(nb) == ["See [Figure 1](#one)"]


@pytest.mark.parametrize(
    "text", ["`[x](#nowhere)`", "```\n[x](#one)\n\n[y](#nowhere)\n```", r"\[x](#one)", "`![x](own.png)`"]
)
def test_what_is_code_or_text_is_no_link_and_no_picture(text):
    nb, _ = prepared(executed(f" {text}", FIGURE.format("one")))
    assert passages(nb) == [text.strip("`\\\n")]
    assert parsed(nb.cells[0].source).find(["a", "img"]) is None


def test_link_to_nothing_is_an_input_error_with_the_nearest_name(tmp_path):
    notebooks = {"en": {"q3": executed("1", "%%prose\nSee [it](#curve)", FIGURE.format("curves"))}}
    with pytest.raises(
        InputError, match=r"q3\.ipynb, cell In \[2\]: .* #curve leads to .* \(did you mean curves\?\)\."
    ):
        prepared(merged(tmp_path, notebooks))


def test_link_to_nothing_in_a_markdown_cell_or_a_caption_is_an_input_error():
    for cell in (" See [it](#nowhere)", "table(pd.DataFrame({'a': ['x']}), 'two', caption='[it](#nowhere)')"):
        with pytest.raises(InputError, match=r"q1\.ipynb.* #nowhere leads to no"):
            prepared(executed(cell))


def test_link_to_a_figure_or_chapter_of_the_project_that_is_not_shown_stays_words():
    nb, _ = prepared(executed("%%prose\nSee [the curves](#q1-curves) of [question 1](#q1_cnn)"))
    assert passages(nb) == ["See the curves of question 1"]


# Pictures of a student's own


def picture(form: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (30, 10), "teal").save(buffer, form)
    return buffer.getvalue()


def attached(text: str, **files: bytes) -> Any:
    """A notebook of one Markdown cell with PNG pictures attached to it."""
    notebook = executed(f" {text}")
    notebook.cells[0].attachments = {
        f"{name}.png": {"image/png": base64.b64encode(data).decode() + "\n"} for name, data in files.items()
    }
    return notebook


def test_attached_picture_becomes_part_of_its_cell():
    nb, _ = prepared(attached("See ![a *teal* field](attachment:a%20b.png) here", **{"a b": picture()}))
    [shown] = parsed(nb.cells[0].source).select("p > img")
    assert shown["alt"] == "a teal field"
    assert shown["src"] == f"data:image/png;base64,{base64.b64encode(picture()).decode()}"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("![](attachment:own.png)", "needs a description"),
        ("![ ](attachment:own.png)", "needs a description"),
        ("![a field](attachment:other.png)", r"picture attachment:other\.png is not in the notebook"),
        ("![a field](folder/own.png)", r"picture folder/own\.png is not in the notebook"),
        ("![a field](https://a.org/own.png 'x')", r"picture https://a\.org/own\.png is not"),
    ],
)
def test_picture_without_description_or_not_in_the_notebook_is_an_input_error(text, complaint):
    with pytest.raises(InputError, match=rf"q1\.ipynb, cell «.*»: .*{complaint}"):
        prepared(attached(text, own=picture()))


def test_damaged_picture_and_empty_heading_are_input_errors():
    with pytest.raises(
        InputError, match=r"cell «See .*»: the picture attachment:own\.png cannot be read \(.+\)"
    ):
        prepared(attached("See ![a field](attachment:own.png)", own=picture()[:60]))
    with pytest.raises(InputError, match=r"q1\.ipynb, cell «.*»: a heading has no words"):
        prepared(executed(" # Title", " Words\n\n##\n\nmore"))


def test_passage_that_shows_a_file_is_an_input_error():
    with pytest.raises(InputError, match=r"cell In \[1\]: the picture own\.png is not in the notebook"):
        prepared(executed("%%prose\n![a field](own.png)"))


# Chapters


def test_chapter_is_a_notebook_and_its_title_its_first_heading(tmp_path):
    notebooks = {
        "zh-TW": {"q1": executed("%%prose\n# 第 1 題 · CNN\n\n文字", language="zh-TW")},
        "en": {
            "q1": executed("x = 1", "%%prose\n# Question 1 · A CNN · B\n\nText"),
            "my_own": executed(" # *Mine* & I"),
        },
    }
    nb, resources = prepared(merged(tmp_path, notebooks))
    assert [(report["language"], report["prefix"]) for report in resources["reports"]] == [
        ("zh-TW", ""),
        ("en", "en-"),
    ]
    chapters = [chapter for report in resources["reports"] for chapter in report["chapters"]]
    assert [(chapter["id"], chapter["kicker"], chapter["title"]) for chapter in chapters] == [
        ("q1", "第 1 題", "CNN"),
        ("en-q1", "Question 1", "A CNN · B"),
        ("en-my_own", "", "Mine & I"),
    ]
    assert [len(chapter["cells"]) for chapter in chapters] == [1, 2, 1]
    assert [text.strip() for text in passages(nb)] == ["", "文字", "Text"]


def test_title_holds_names_as_they_are():
    _, resources = prepared(executed("%%prose\n# Face · {{ name }}", name="<b> *x* & `y`"))
    [report] = resources["reports"]
    assert report["chapters"][0]["title"] == "<b> *x* & `y`"


def test_notebook_without_a_heading_has_its_name_for_a_title():
    _, resources = prepared(executed("1 + 1"))
    [report] = resources["reports"]
    assert [chapter["title"] for chapter in report["chapters"]] == ["q1"]


def test_notebook_alone_has_the_language_of_what_it_shows():
    for language in ("zh-TW", "en"):
        _, resources = prepared(executed("1", "%%prose\nText", language=language))
        assert [report["language"] for report in resources["reports"]] == [language]
