import base64
import functools
import io
import itertools
import re
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from fontTools.ttLib import TTFont
from nbformat.v4 import new_code_cell, new_notebook
from pypdf import PdfReader
from report_project import ALL, HOSTILE, TITLE, WORDS, Project, figure, first, second

from fer_lib.errors import InputError
from fer_lib.publish.answer import Answer
from fer_lib.publish.assemble import assemble
from fer_lib.publish.prose import check_texts, report_folder
from fer_lib.publish.title import Title


@functools.cache
def printed(paper: PdfReader) -> str:
    """The text of a PDF without blanks, which its line breaks would otherwise scatter."""
    return re.sub(r"\s", "", "".join(page.extract_text() for page in paper.pages))


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> tuple[BeautifulSoup, PdfReader]:
    """A report of two questions on drawn faces."""
    project = Project(tmp_path_factory.mktemp("report"))
    notebooks = [
        project.notebook("q1", lambda answer: first(answer, drawn=True)),
        project.notebook("q2", second),
    ]
    return project.render(*notebooks)


@pytest.fixture(scope="module")
def page(report: tuple[BeautifulSoup, PdfReader]) -> BeautifulSoup:
    return report[0]


@pytest.fixture(scope="module")
def paper(report: tuple[BeautifulSoup, PdfReader]) -> PdfReader:
    return report[1]


# The page


def test_the_page_asks_for_nothing_from_outside(page: BeautifulSoup) -> None:
    assert not page.find_all(["link", "iframe", "object"])
    assert not page.find_all("script", src=True)
    addresses = [tag[name] for name in ("src", "href", "srcset") for tag in page.find_all(**{name: True})]
    assert addresses
    assert all(re.match(r"data:|#", address) for address in addresses)
    styles = "".join(style.get_text() for style in page.find_all("style"))
    assert re.findall(r"url\((?!data:)|@import|https?:", styles) == []


def test_the_page_names_its_language_and_title(page: BeautifulSoup) -> None:
    assert page.html is not None
    assert page.html["lang"] == "zh-TW"
    assert page.title is not None
    assert page.title.get_text() == "ML2017FALL-HW3-Report · 人臉表情辨識"


def test_the_page_embeds_a_font_with_all_its_chinese(page: BeautifulSoup) -> None:
    assert page.style is not None
    data = re.search(r"woff2;base64,([^)]+)", page.style.get_text())
    assert data is not None
    embedded = TTFont(io.BytesIO(base64.b64decode(data[1]))).getBestCmap()
    assert page.body is not None
    assert {c for c in page.body.get_text() if "\u3000" < c < "\uffff"} <= {chr(code) for code in embedded}


def test_who_hands_it_in_stands_at_the_top(page: BeautifulSoup) -> None:
    who = {dt.get_text(): dt.find_next("dd").get_text() for dt in page.select(".masthead dt")}
    assert who == {"學號": "B00000000", "系級": "電機四", "姓名": "王小明"}


def test_headings_go_down_one_level_at_a_time(page: BeautifulSoup) -> None:
    levels = [int(h.name[1]) for h in page.find_all(re.compile("^h[1-6]$"))]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))


def test_the_contents_lead_to_every_answer(page: BeautifulSoup) -> None:
    links = page.select("nav a")
    assert [a.get_text() for a in links[1:3]] == ["CNN：模型架構與準確率", "DNN 與 CNN 的比較"]
    assert all(page.find(id=a["href"][1:]) for a in links)


def test_each_question_is_quoted_with_its_collaborators(page: BeautifulSoup) -> None:
    asked = [re.sub(r"\s+", " ", quote.get_text()).strip() for quote in page.select("blockquote")]
    assert asked == [
        "請說明你實作的 CNN model，其模型架構、訓練過程和準確率為何？ 合作者 無",
        "承上題，請用與上述 CNN 接近的參數量，實做簡單的 DNN model。 合作者 陳小華 B00000001",
    ]


def test_figures_and_tables_are_numbered_through_the_report(page: BeautifulSoup) -> None:
    captions = [c.get_text() for c in page.find_all(["figcaption", "caption"])]
    assert captions == ["圖 1 模型的訓練過程，共 3 個 epoch", "表 1 各層的參數", "圖 2 DNN 的訓練過程"]


def test_a_link_to_a_figure_or_table_shows_its_number(page: BeautifulSoup) -> None:
    links = page.select("main p a")
    assert [a.get_text() for a in links] == ["圖 1", "表 1", "圖 2"]
    assert [page.find(id=a["href"][1:]).name for a in links] == ["figure", "table", "figure"]


def test_every_picture_has_a_description(page: BeautifulSoup) -> None:
    assert [img["alt"] for img in page.find_all("img")] == ["模型的折線圖", "DNN 的折線圖"]


def test_table_heads_say_what_they_are_heads_of(page: BeautifulSoup) -> None:
    assert [th.get_text() for th in page.select("thead th[scope=col]")] == ["層", "參數"]
    assert len(page.select("tbody th[scope=row]")) == 160


def test_code_and_parameters_are_folded_away(page: BeautifulSoup) -> None:
    folded = page.select_one("details.code:not([open])")
    assert folded is not None
    assert "answer.show(CODE_OF_A_CELL)" in folded.get_text()
    assert "EPOCHS = 3" in folded.get_text()
    folds = page.select("details.code")
    assert page.get_text().count("CODE_OF_A_CELL") == len(folds) == 2


def test_what_cells_print_is_not_in_the_report(page: BeautifulSoup, paper: PdfReader) -> None:
    assert "NOISE" not in page.get_text()
    assert "NOISE" not in printed(paper)


def test_drawn_faces_are_said_to_be_drawn(page: BeautifulSoup, paper: PdfReader) -> None:
    notice = page.select_one(".notice")
    assert notice is not None
    assert "並非照片" in notice.get_text()
    assert "並非照片" in printed(paper)
    assert "資料：程式繪製的臉，5,000張" in printed(paper)


def test_the_summary_takes_its_numbers_from_all_answers(page: BeautifulSoup) -> None:
    lines = [li.get_text() for li in page.select(".summary li")]
    assert lines == ["1 驗證準確率 63.9%", "2 DNN 的驗證準確率 42.0%"]


# On paper


def test_the_paper_says_what_the_page_says(page: BeautifulSoup, paper: PdfReader) -> None:
    text = printed(paper)
    said = [*page.select("main p"), *page.select("figcaption, caption, td, h1, h2, h3")]
    folded = {id(tag) for fold in page.find_all("details") for tag in fold.find_all()}
    missing = [
        tag.get_text()
        for tag in said
        if id(tag) not in folded and re.sub(r"\s", "", tag.get_text()) not in text
    ]
    assert missing == []


def test_code_is_left_out_on_paper(paper: PdfReader) -> None:
    assert "CODE_OF_A_CELL" not in printed(paper)


def test_the_paper_is_tagged_a4_with_bookmarks_and_page_numbers(paper: PdfReader) -> None:
    assert paper.trailer["/Root"]["/MarkInfo"]["/Marked"]
    assert paper.trailer["/Root"]["/Lang"] == "zh-TW"
    assert [round(side) for side in paper.pages[0].mediabox[2:]] == [595, 842]
    bookmarks = [entry.title for entry in paper.outline if not isinstance(entry, list)]
    assert [re.sub(r"\s", "", title) for title in bookmarks] == [
        "1CNN：模型架構與準確率",
        "2DNN與CNN的比較",
        "資料與執行紀錄",
    ]
    assert f"1/{len(paper.pages)}" in re.sub(r"\s", "", paper.pages[0].extract_text())


def test_every_font_is_embedded(paper: PdfReader) -> None:
    objects = [paper.get_object(number) for number in range(1, paper.trailer["/Size"])]
    fonts = [o for o in objects if isinstance(o, dict) and o.get("/Type") == "/FontDescriptor"]
    assert fonts
    assert all({"/FontFile", "/FontFile2", "/FontFile3"} & set(font) for font in fonts)


def test_the_running_head_names_the_answer(paper: PdfReader) -> None:
    last = re.sub(r"\s", "", paper.pages[-1].extract_text())
    assert last.startswith("資料與執行紀錄王小明")


def test_a_long_table_goes_on_on_the_next_page_with_its_head(paper: PdfReader) -> None:
    pages = [page.extract_text() for page in paper.pages]
    holding = [text for text in pages if "conv2d_" in text]
    assert len(holding) > 1
    assert all("參數" in text for text in holding)
    assert "conv2d_159" in holding[-1]


def test_a_long_and_narrow_table_is_set_in_two_halves(paper: PdfReader) -> None:
    text = " ".join(page.extract_text() for page in paper.pages)
    assert "conv2d_0 0 conv2d_80 80,000" in " ".join(text.split())


def test_a_plot_stays_a_drawing_on_paper(paper: PdfReader) -> None:
    # The heat map and the PNG are the only bitmaps; axes and labels are lines.
    assert sum(len(page.images) for page in paper.pages) <= 2


def descriptions(paper: PdfReader) -> list[str]:
    """The alternative texts in a PDF."""
    objects = [paper.get_object(number) for number in range(1, paper.trailer["/Size"])]
    return [str(thing["/Alt"]) for thing in objects if isinstance(thing, dict) and "/Alt" in thing]


def test_every_picture_has_a_description_on_paper(paper: PdfReader) -> None:
    assert sorted(descriptions(paper)) == ["DNN 的折線圖", "模型的折線圖"]


# Names that look like markup


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> tuple[BeautifulSoup, PdfReader]:
    """A report in which every name looks like markup of some kind."""
    project = Project(tmp_path_factory.mktemp("hostile"))
    names = "\n".join(
        f"- 名稱{{names[{i}]}}和`{{names[{i}]}}`和[{{names[{i}]}}](#curves)。" for i in range(len(HOSTILE))
    )
    project.write(
        "q2.md",
        f"{WORDS['q2.md']}\n## names\n{names}\n"
        "\n## table\n{name}的表\n\n## plot\n{name}的圖\n\n## plot.alt\n{name}\n",
    )

    def show(answer: Answer) -> None:
        answer.text("names", names=HOSTILE)
        answer.table(pd.DataFrame({ALL: HOSTILE}), "table", name=ALL)
        answer.figure(figure(), "plot", name=ALL)
        answer.facts(accuracy=0.42)

    return project.render(project.notebook("q2", show), title=Title(ALL, ALL, ALL, {"q2": ALL}))


@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_a_name_in_a_text_appears_as_it_is(hostile: tuple[BeautifulSoup, PdfReader], number: int) -> None:
    page, paper = hostile
    name = HOSTILE[number]
    item = page.select("section.chapter > ul > li")[number]
    assert item.get_text() == f"名稱{name}和{name}和{name}。"
    bare = re.sub(r"\s", "", name)
    assert f"名稱{bare}和{bare}和{bare}。" in printed(paper)


def test_a_name_in_the_title_appears_as_it_is(hostile: tuple[BeautifulSoup, PdfReader]) -> None:
    page, paper = hostile
    assert [dd.get_text() for dd in page.select(".masthead dd")] == [ALL] * 3
    assert paper.metadata is not None
    assert paper.metadata.author == ALL
    assert all(re.sub(r"\s", "", name) in printed(paper) for name in HOSTILE)


def test_a_name_in_a_caption_or_a_cell_or_beside_a_question_appears_as_it_is(
    hostile: tuple[BeautifulSoup, PdfReader],
) -> None:
    page, paper = hostile
    bare = re.sub(r"\s", "", ALL)
    cells = [cell.get_text() for cell in page.select("caption, thead th, tbody th, .with, figcaption")]
    assert cells == [f"合作者 {ALL}", f"表 1 {ALL}的表", ALL, *HOSTILE, f"圖 1 {ALL}的圖"]
    assert f"合作者{bare}" in printed(paper)
    assert f"表1{bare}的表" in printed(paper)


def test_a_name_in_a_description_appears_as_it_is(hostile: tuple[BeautifulSoup, PdfReader]) -> None:
    page, paper = hostile
    assert page.img is not None
    assert page.img["alt"] == ALL
    assert descriptions(paper) == [ALL]


def test_no_name_becomes_an_element(hostile: tuple[BeautifulSoup, PdfReader]) -> None:
    page, _ = hostile
    assert len(page.find_all("script")) == 1
    assert page.find_all(["label", "em"]) == []
    assert page.select("main section.chapter a:not(.anchor)") == []


# Other reports


def test_changed_prose_is_set_with_the_facts_of_the_old_run(project: Project) -> None:
    notebook = project.notebook("q1", first)
    project.write("q1.md", WORDS["q1.md"].replace("訓練 {epochs} 個 epoch", "一共 {epochs:03d} 回"))
    [chapter] = project.assemble(notebook).chapters
    assert "一共 003 回" in chapter.blocks[0].html


def test_prose_that_asks_for_what_the_run_did_not_note_is_an_input_error(project: Project) -> None:
    notebook = project.notebook("q1", first)
    project.write("q1.md", WORDS["q1.md"].replace("{epochs} 個 epoch，名稱", "{epoch} 個 epoch，名稱"))
    with pytest.raises(InputError, match=r"q1\.md, line 9: nothing is known of \{epoch\}"):
        project.assemble(notebook)


def test_photographs_need_no_notice(project: Project) -> None:
    report = project.assemble(project.notebook("q1", first))
    assert report.notice == ""
    assert report.provenance == ["資料：照片，5,000 張"]


def test_lines_about_other_questions_are_left_out(project: Project) -> None:
    report = project.assemble(project.notebook("q1", first))
    assert report.summary == {"q1": "驗證準確率 63.9%"}


def test_a_link_to_what_the_report_does_not_hold_stays_words(project: Project) -> None:
    [chapter] = project.assemble(project.notebook("q1", first)).chapters
    assert "與第二題的圖。" in chapter.blocks[0].html


def test_a_part_shown_twice_is_numbered_twice(project: Project) -> None:
    def twice(answer: Answer) -> None:
        second(answer)
        second(answer)

    [chapter] = project.assemble(project.notebook("q2", twice)).chapters
    assert [(b.identifier, b.label) for b in chapter.blocks] == [
        ("q2-curves", "圖 1"),
        ("q2-curves-2", "圖 2"),
    ]


def test_a_character_without_a_glyph_is_named_and_the_old_report_stays(project: Project) -> None:
    notebook = project.notebook("q2", second)
    old = project.root / "out" / "hw3-report.html"
    old.parent.mkdir()
    old.write_text("old")
    with pytest.raises(InputError, match=r"no glyph for 😀 \(U\+1F600 GRINNING FACE\)"):
        project.render(notebook, title=Title("B0", "EE", "😀"))
    assert [path.read_text() for path in old.parent.iterdir()] == ["old"]


def test_a_notebook_in_another_language_is_an_input_error(project: Project) -> None:
    notebook = project.notebook("q1", first)
    with pytest.raises(InputError, match="was executed in zh-TW; execute it in en"):
        assemble([notebook], project.texts, "en", TITLE)


def test_a_notebook_without_an_answer_is_an_input_error(project: Project) -> None:
    nbformat.write(new_notebook(cells=[new_code_cell("1 + 1")]), project.root / "explore.ipynb")
    with pytest.raises(InputError, match=r"explore\.ipynb holds no answer"):
        project.render(project.root / "explore.ipynb")


@pytest.mark.parametrize("text", [None, "", "not json"])
def test_what_is_no_notebook_is_an_input_error(project: Project, text: str | None) -> None:
    path = project.root / "q1.ipynb"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError, match=r"q1\.ipynb is not there or no notebook"):
        project.render(path)


def test_the_words_of_the_project_agree_in_both_languages() -> None:
    assert check_texts(report_folder() / "text") == []
