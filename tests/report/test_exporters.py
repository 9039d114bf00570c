"""The report as page and paper: what nbconvert makes of executed notebooks."""

import base64
import copy
import hashlib
import io
import itertools
import json
import re
from collections.abc import Mapping
from typing import Any

import nbformat
import pytest
from bs4 import BeautifulSoup
from fontTools.ttLib import TTFont
from nbconvert.nbconvertapp import NbConvertApp
from PIL import Image
from pypdf import PdfReader
from report_project import ALL, HOSTILE, WHO, executed, merged, page, paper, parsed, printed, squeezed

from fer_lib.errors import InputError
from fer_lib.labels import label_file

PAGE = label_file("zh-TW")["page"]
RUN = PAGE["run"]
RUN_SCRIPTS = "script:not([type])"  # the record is data
FIRST = {
    "zh-TW": """%%prose zh-TW
# 第 1 題 · CNN：模型架構與準確率

> 請說明你實作的 CNN model，其模型架構、訓練過程和準確率為何？

訓練 {{ EPOCHS }} 個 epoch，見[下圖](#curves)、[下表](#layers)、[更多的圖](#more)與[第二題的圖](#matrix)。

## Curves

- **誤差**很小，見[第二題](#q2)
""",
    "en": """%%prose en
# Question 1 · A CNN: architecture and accuracy

> Describe your CNN: its architecture, training and accuracy.

Trained for {{ EPOCHS }} epochs; see [below](#curves), [the table](#layers), [more](#more) and the end.

## Curves

- A **small** error
""",
}
SECOND = {
    "zh-TW": "%%prose zh-TW\n# 第 2 題 · DNN 與 CNN 的比較\n\n文字",
    "en": "%%prose en\n# Question 2 · A DNN\n\nText",
}
CURVES = """
source("cnn-0123")
figure(lines(), "curves", caption="Curves of {{ EPOCHS }} epochs", alt="A line that rises")
"""
LAYERS = """
layers = pd.DataFrame({"layer": [f"conv2d_{i}" for i in range(160)], "count": np.arange(160) * 1000})
table(layers, "layers", caption="All layers", formats={"count": ",d"}, sortable=True)
"""
OWN = """
import sys
print("A LINE OF MY OWN")
print("NOISE", file=sys.stderr)
"""
CELLS = """
labels = np.arange(4) % 2
sure = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.7, 0.3]])
cells = Cells(["a", "b"], np.array([[2, 0], [1, 1]]), np.zeros((4, 8, 8), np.uint8), labels, sure)
figure(lines(), "matrix", caption="A matrix", alt="A matrix of two classes", interactive=cells)
"""
FRAMES = """
for key in ("ascent", "depths"):
    steps = Frames(["0", "10", "190"], np.zeros((3, 2, 8, 8), np.uint8), "slider", "Step")
    figure(lines(), key, caption="Steps", alt="Three steps", interactive=steps, raster=True)
"""


def first(language: str) -> Any:
    return executed(
        (" A note for whoever opens the notebook", "notebook-only"),
        ("EPOCHS = 3", "parameters"),
        FIRST["zh-TW"],
        FIRST["en"],
        CURVES,
        LAYERS,
        ("%%prose en\nLEFT OUT OF THE SHORT FORM", "full"),
        ("figure(lines(), 'more', caption='More curves', alt='Another line')", "full"),
        OWN,
        language=language,
    )


def second(language: str) -> Any:
    return executed(
        SECOND["zh-TW"], SECOND["en"], CELLS, FRAMES, "pd.DataFrame({'mine': [41, 42]})", language=language
    )


@pytest.fixture(scope="module")
def notebooks(tmp_path_factory) -> Mapping[str, Any]:
    """Both questions in both languages, and in each alone."""
    folder = tmp_path_factory.mktemp("notebooks")
    made = {language: {"q1": first(language), "q2": second(language)} for language in ("zh-TW", "en")}
    alone = {language: merged(folder / language, {language: each}) for language, each in made.items()}
    return {"both": merged(folder / "both", made), **alone}


@pytest.fixture(scope="module")
def html(notebooks) -> str:
    """The page in both languages."""
    return page(copy.deepcopy(notebooks["both"]))


@pytest.fixture(scope="module")
def both(html) -> BeautifulSoup:
    return parsed(html)


@pytest.fixture(scope="module")
def chinese(html) -> BeautifulSoup:
    """The part in the first language."""
    [part] = parsed(html).select(".report:lang(zh-TW)")
    return part


@pytest.fixture(scope="module")
def pdf(notebooks) -> bytes:
    """The paper in Chinese."""
    return paper(copy.deepcopy(notebooks["zh-TW"]))


@pytest.fixture(scope="module")
def sheets(pdf) -> PdfReader:
    return PdfReader(io.BytesIO(pdf))


@pytest.fixture(scope="module")
def short(notebooks) -> bytes:
    """The short form in English."""
    return paper(copy.deepcopy(notebooks["en"]), short=True)


# The page


def test_page_asks_for_nothing_from_outside(both):
    assert not both.find_all(["link", "iframe", "object"])
    assert not both.find_all("script", src=True)
    addresses = [tag[name] for name in ("src", "href", "srcset") for tag in both.find_all(**{name: True})]
    assert addresses
    assert all(re.match(r"data:|#", address) for address in addresses)
    styles = "".join(style.get_text() for style in both.find_all("style"))
    assert re.findall(r"url\((?!data:)|@import|https?:", styles) == []


def test_policy_runs_the_scripts_of_the_page_and_nothing_else(both):
    policy = both.find("meta", {"http-equiv": "Content-Security-Policy"})["content"]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    scripts = [hashlib.sha256(script.string.encode()).digest() for script in both.select(RUN_SCRIPTS)]
    assert rules["default-src"] == "'none'"
    assert rules["script-src"].split() == [
        f"'sha256-{base64.b64encode(digest).decode()}'" for digest in scripts
    ]
    assert re.findall(r"\son\w+=", str(both)) == []


def test_styles_and_scripts_of_interactive_parts_stand_once(both):
    styles = [style.string for style in both.find_all("style", scoped=False)]  # pandas has one of its own
    assert len(styles) == len(set(styles))
    assert sum(".fer-frames .control" in style for style in styles) == 1
    scripts = both.select(RUN_SCRIPTS)
    assert len(scripts) == 2
    assert sum("fer-frames" in script.string for script in scripts) == 1
    assert not scripts[0].find_all_next(class_="fer-frames")  # which it turns into sliders


def test_page_names_its_first_language_and_its_title(both):
    assert both.html["lang"] == "zh-TW"
    assert both.title.get_text() == "ML2017FALL-HW3-Report · 人臉表情辨識"


def test_languages_lead_to_each_other(both):
    reports = both.select(".report")
    assert [report["lang"] for report in reports] == ["zh-TW", "en"]
    for report in reports:
        links = report.select(".languages a")
        assert [link["hreflang"] for link in links] == ["zh-TW", "en"]
        assert [both.find(id=link["href"][1:])["lang"] for link in links] == ["zh-TW", "en"]
        assert [link.has_attr("aria-current") for link in links] == [
            link["lang"] == report["lang"] for link in links
        ]


def test_no_id_stands_twice_and_every_link_leads_somewhere(both):
    ids = [tag["id"] for tag in both.select("[id]")]
    assert len(ids) == len(set(ids))
    links = both.select('a[href^="#"]')
    assert {link["href"][1:] for link in links} <= set(ids)
    for report in both.select(".report"):
        prefix = "" if report["lang"] == "zh-TW" else "en-"
        own = [link for link in report.select('a[href^="#"]') if not link.find_parent(class_="languages")]
        assert all(report.find(id=link["href"][1:]) for link in own)
        assert report.find(id=f"{prefix}curves") and report.find(id=f"{prefix}q1")


def test_page_embeds_a_font_with_all_its_chinese(both):
    data = re.search(r"woff2;base64,([^)]+)", both.style.get_text())
    embedded = TTFont(io.BytesIO(base64.b64decode(data[1]))).getBestCmap()
    words = "".join(
        str(json.loads(report["data-words"])) for report in both.select(".report")
    )  # of the script
    shown = {c for c in both.body.get_text() + words if "\u3000" < c < "\uffff"}
    assert shown <= {chr(code) for code in embedded}


def test_who_hands_it_in_stands_at_the_top(chinese):
    who = {dt.get_text(): dt.find_next("dd").get_text() for dt in chinese.select(".masthead dt")}
    assert who == {"學號": "B00000000", "系級": "電機四", "姓名": "王小明"}


def test_headings_go_down_one_level_at_a_time(chinese):
    levels = [int(h.name[1]) for h in chinese.find_all(re.compile("^h[1-6]$"))]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))


def test_contents_lead_to_every_chapter_by_its_title(chinese):
    links = chinese.select("nav li a")
    assert [a.get_text() for a in links] == ["第 1 題 CNN：模型架構與準確率", "第 2 題 DNN 與 CNN 的比較"]
    assert [chinese.find(id=a["href"][1:]).get_text() for a in links] == [a.get_text() for a in links]


def test_question_is_quoted(chinese):
    assert [quote.get_text().strip() for quote in chinese.select("blockquote")] == [
        "請說明你實作的 CNN model，其模型架構、訓練過程和準確率為何？"
    ]


def test_figures_and_tables_are_numbered_and_name_their_runs(chinese):
    captions = [
        c.get_text().replace("\N{NO-BREAK SPACE}", " ") for c in chinese.find_all(["figcaption", "caption"])
    ]
    assert captions == [
        f"圖 1 Curves of 3 epochs {RUN} cnn-0123",
        f"表 1 All layers {RUN} cnn-0123",
        f"圖 2 More curves {RUN} cnn-0123",
        "圖 3 A matrix",
        "圖 4 Steps",
        "圖 5 Steps",
    ]


def test_links_show_numbers(chinese):
    links = chinese.select("section#q1 p a, section p a")
    assert [a.get_text() for a in links] == ["圖\N{NO-BREAK SPACE}1", "表\N{NO-BREAK SPACE}1", "圖\N{NO-BREAK SPACE}2",
                                             "圖\N{NO-BREAK SPACE}3"]  # fmt: skip
    assert [chinese.find(id=a["href"][1:]).name for a in links] == ["figure", "table", "figure", "figure"]


def test_every_picture_has_a_description(chinese):
    pictures = chinese.select("img, [role=img]")
    assert [tag.get("alt") or tag.get("aria-label") for tag in pictures] == [
        "A line that rises", "Another line", "Three steps", "Three steps"
    ]  # fmt: skip
    assert chinese.select_one("figure#matrix .unseen").get_text() == "A matrix of two classes"


def test_code_is_folded_and_says_which_parameters_are_of_the_run(chinese):
    folds = chinese.select("details.code")
    assert [fold.summary.get_text().split() for fold in folds] == [
        [PAGE["code"], "q1.ipynb"],
        [PAGE["code"], "q2.ipynb"],
    ]
    assert not any(fold.has_attr("open") for fold in folds)
    assert "EPOCHS = 3" in folds[0].get_text()
    assert folds[0].select_one(".parameters").get_text() == PAGE["parameters"]
    assert "%%prose" not in chinese.get_text()


def test_what_a_student_prints_and_shows_is_in_the_report_and_warnings_are_not(chinese, both, pdf):
    assert [pre.get_text().strip() for pre in chinese.select(".said")] == ["A LINE OF MY OWN"]
    assert "42" in [td.get_text() for td in chinese.select(".dataframe td")]
    assert "ALINEOFMYOWN" in printed(pdf)
    assert "mine041142" in printed(pdf)
    shown = parsed(str(both))
    for fold in shown.select("details.code"):
        fold.decompose()
    assert "NOISE" not in shown.get_text()
    assert "NOISE" not in printed(pdf)


def test_notes_for_whoever_opens_the_notebook_are_not_in_the_report(both, pdf):
    assert "whoever opens" not in both.get_text()
    assert "whoeveropens" not in printed(pdf)


# On paper


def test_paper_says_what_the_page_says(chinese, pdf):
    text = printed(pdf)
    for fold in (copied := copy.copy(chinese)).select("details, .fer-cells, .fer-frames"):
        fold.decompose()
    said = copied.select("section p, section li, figcaption, caption, td, h1, h2, h3, h4, h5, dd")
    assert len(said) > 170
    assert [tag.get_text() for tag in said if squeezed(tag.get_text()) not in text] == []


def test_code_is_left_out_on_paper(pdf):
    assert "EPOCHS=3" not in printed(pdf)
    assert "pd.DataFrame" not in printed(pdf)


def test_paper_is_accessible_pdf_in_its_language(sheets, pdf):
    root = sheets.trailer["/Root"]
    assert root["/MarkInfo"]["/Marked"]
    assert root["/Lang"] == "zh-TW"
    assert re.search(rb"<pdfuaid:part>1<", root["/Metadata"].get_object().get_data())
    assert (sheets.metadata.title, sheets.metadata.author) == (
        "ML2017FALL-HW3-Report · 人臉表情辨識",
        "王小明",
    )


def test_paper_is_a4_with_bookmarks_and_page_numbers(sheets):
    assert [round(side) for side in sheets.pages[0].mediabox[2:]] == [595, 842]
    bookmarks = [entry.title for entry in sheets.outline if not isinstance(entry, list)]
    assert [squeezed(title) for title in bookmarks] == ["第1題CNN：模型架構與準確率", "第2題DNN與CNN的比較"]
    assert f"1/{len(sheets.pages)}" in squeezed(sheets.pages[0].extract_text())


def test_running_head_names_the_chapter(sheets):
    assert squeezed(sheets.pages[-1].extract_text()).startswith("第2題DNN與CNN的比較王小明")


def test_every_font_is_embedded(sheets):
    objects = [sheets.get_object(number) for number in range(1, sheets.trailer["/Size"])]
    fonts = [o for o in objects if isinstance(o, dict) and o.get("/Type") == "/FontDescriptor"]
    assert fonts
    assert all({"/FontFile", "/FontFile2", "/FontFile3"} & set(font) for font in fonts)


def test_long_and_narrow_table_is_set_in_two_halves_that_go_on_with_their_head(sheets):
    pages = [sheet.extract_text() for sheet in sheets.pages]
    assert "conv2d_0 0 conv2d_80 80,000" in " ".join(" ".join(pages).split())
    holding = [text for text in pages if "conv2d_" in text]
    assert len(holding) > 1
    assert all("layer" in text for text in holding)
    assert "conv2d_159" in holding[-1]


def test_drawing_stays_a_drawing_on_paper(sheets):
    # The raster figure that is shown twice is the only bitmap.
    assert sum(len(sheet.images) for sheet in sheets.pages) == 1


def descriptions(sheets: PdfReader) -> list[str]:
    """The alternative texts in a PDF."""
    objects = [sheets.get_object(number) for number in range(1, sheets.trailer["/Size"])]
    return [str(thing["/Alt"]) for thing in objects if isinstance(thing, dict) and "/Alt" in thing]


def test_every_picture_has_a_description_on_paper(sheets):
    assert sorted(descriptions(sheets)) == [
        "A line that rises", "A matrix of two classes", "Another line", "Three steps", "Three steps"
    ]  # fmt: skip


def test_short_form_leaves_out_what_is_tagged_full_and_links_to_it_stay_words(short, sheets):
    text = printed(short)
    assert "LEFTOUTOFTHESHORTFORM" not in text
    assert "Morecurves" not in text
    assert "seeFigure1,Table1,moreandtheend." in text
    assert "Figure2Amatrix" in text
    assert len(PdfReader(io.BytesIO(short)).pages) < len(sheets.pages)


def test_paper_of_the_second_language_has_its_own_words(short):
    assert re.findall(r"[\u3400-\u9fff]", printed(short).replace("電機四", "").replace("王小明", "")) == []
    assert PdfReader(io.BytesIO(short)).trailer["/Root"]["/Lang"] == "en-US"


def test_same_notebooks_give_the_same_bytes(notebooks, html, pdf):
    assert page(copy.deepcopy(notebooks["both"])) == html
    assert paper(copy.deepcopy(notebooks["zh-TW"])) == pdf


# Texts that look like markup


@pytest.fixture(scope="module")
def hostile() -> tuple[BeautifulSoup, PdfReader]:
    """A report in which every text looks like markup of some kind."""
    lines = "\n".join(
        f"- 名稱{{{{ names[{i}] }}}}和{{{{ names[{i}] | code }}}}。" for i in range(len(HOSTILE))
    )
    notebook = executed(
        "%%prose\n# 題 · {{ text }}\n\n" + lines,
        "%%prose\n{{ text }}\n\n[{{ text }}](#plot)",
        "source(text)",
        "table(pd.DataFrame({text: names}), 'plain', caption='{{ text }}的表')",
        "figure(lines(), 'plot', caption='{{ text }}的圖', alt='{{ text }}')",
        "source()",
        "print(text)",
        f" {lines.partition('- ')[0]}My own words are no HTML: <script>alert(2)</script>",
        language="zh-TW",
        names=HOSTILE,
        text=ALL,
    )
    who = dict.fromkeys(WHO, ALL)
    return parsed(page(copy.deepcopy(notebook), who)), PdfReader(io.BytesIO(paper(notebook, who)))


@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_name_in_a_passage_appears_as_it_is(hostile, number):
    soup, sheets = hostile
    said = f"名稱{HOSTILE[number]}和{HOSTILE[number]}。"
    assert soup.select("section.chapter ul > li")[number].get_text() == said
    assert squeezed(said) in printed(sheets)


def test_name_in_the_title_appears_as_it_is(hostile):
    soup, sheets = hostile
    assert [dd.get_text() for dd in soup.select(".masthead dd")] == [ALL] * 3
    assert soup.find("meta", {"name": "author"})["content"] == ALL
    assert sheets.metadata.author == ALL
    assert printed(sheets).count(squeezed(ALL)) >= 3


def test_name_in_a_heading_appears_as_it_is(hostile):
    soup, sheets = hostile
    assert soup.h2.get_text() == soup.select_one("nav li a").get_text() == f"題 {ALL}"
    assert squeezed(f"題{ALL}") in printed(sheets)
    assert squeezed(sheets.outline[0].title) == squeezed(f"題{ALL}")


def test_name_in_a_caption_or_a_cell_or_printed_appears_as_it_is(hostile):
    soup, sheets = hostile
    label = "\N{NO-BREAK SPACE}1 "
    run = f" {RUN} {ALL}"
    cells = [cell.get_text() for cell in soup.select("caption, thead th, tbody th, figcaption")]
    assert cells == [f"表{label}{ALL}的表{run}", ALL, *HOSTILE, f"圖{label}{ALL}的圖{run}"]
    assert soup.select_one(".said").get_text().strip() == ALL
    for text in (*cells, "My own words are no HTML: <script>alert(2)</script>"):
        assert squeezed(text) in printed(sheets)
        assert text in soup.get_text()


def test_name_in_a_description_appears_as_it_is(hostile):
    soup, sheets = hostile
    assert soup.img["alt"] == ALL
    assert descriptions(sheets) == [ALL]


def test_no_name_becomes_an_element(hostile):
    soup, _ = hostile
    assert len(soup.select(RUN_SCRIPTS)) == 1
    assert soup.find_all(["label", "em"]) == []
    assert [a["href"] for a in soup.select("main section.chapter a:not(.anchor)")] == ["#plot"]


# Special cases


def test_character_without_a_glyph_is_an_input_error_that_names_it():
    notebook = executed("%%prose\n# Title\n\nText")
    with pytest.raises(InputError, match=r"no glyph for 😀 \(U\+1F600 GRINNING FACE\)"):
        paper(notebook, {**WHO, "name": "😀"})


def test_picture_of_ones_own_is_part_of_page_and_paper():
    buffer = io.BytesIO()
    Image.new("RGB", (1200, 400), "teal").save(buffer, "PNG")
    notebook = executed(' # Mine\n\nSee ![a *teal* "field"](attachment:own.png) here')
    notebook.cells[0].attachments = {"own.png": {"image/png": base64.b64encode(buffer.getvalue()).decode()}}
    [shown] = parsed(page(copy.deepcopy(notebook))).select("p img")
    assert shown["alt"] == 'a teal "field"'
    assert base64.b64decode(shown["src"].removeprefix("data:image/png;base64,")) == buffer.getvalue()
    sheets = PdfReader(io.BytesIO(paper(notebook)))
    assert [image.image.size for sheet in sheets.pages for image in sheet.images] == [(1200, 400)]
    assert descriptions(sheets) == ['a teal "field"']


def test_a_line_between_paragraphs_is_one_on_page_and_paper():
    notebook = executed("%%prose\n# Title\n\nOne\n\n---\n\nTwo\n\n***\n\nThree")
    assert len(parsed(page(copy.deepcopy(notebook))).main.find_all("hr")) == 2
    assert "OneTwoThree" in squeezed(printed(paper(notebook)))


def test_summary_notice_and_headlines_stand_apart_on_page_and_paper(tmp_path):
    summary = executed(
        "%%prose\n# Summary\n\nTwo networks.",
        ("%%prose\nDrawn by a program.", "notice"),
        ("%%prose\n{% if False %}Nothing.{% endif %}", "notice"),
        ("%%prose\n- **63.9%** CNN\n- **42.0%** DNN", "headlines"),
    )
    notebook = merged(tmp_path, {"en": {"summary": summary, "q1": executed("%%prose\n# Question 1\n\nText")}})
    soup = parsed(page(copy.deepcopy(notebook)))
    assert [tag.get_text().strip() for tag in soup.select(".chapter.summary .notice")] == [
        "Drawn by a program."
    ]
    assert [tag.get_text() for tag in soup.select(".chapter.summary .headlines strong")] == ["63.9%", "42.0%"]
    sheets = PdfReader(io.BytesIO(paper(notebook)))
    assert "63.9%42.0%" in printed(sheets).replace("CNN", "").replace("DNN", "")
    assert [entry.title for entry in sheets.outline] == ["Question 1"]
    assert printed(sheets).count("Question1") == 2  # in the contents and above its answer


# From the command line


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    """What `jupyter nbconvert --to …` writes of one executed notebook, by format."""
    folder = tmp_path_factory.mktemp("converted")
    nbformat.write(first("en"), folder / "我的 q1.ipynb")
    for options in (["--to=hw3"], ["--to=hw3-pdf"], ["--to=html", "--no-input", "--output=plain"]):
        app = NbConvertApp()
        app.initialize([*options, "--log-level=ERROR", str(folder / "我的 q1.ipynb")])
        app.start()
    return folder


def test_nbconvert_makes_the_page_and_the_paper_of_one_notebook(converted):
    soup = parsed((converted / "我的 q1.html").read_text(encoding="utf-8"))
    text = printed((converted / "我的 q1.pdf").read_bytes())
    assert soup.h2.get_text() == "Question 1 A CNN: architecture and accuracy"
    assert [a.get_text() for a in soup.select("section p a")[:3]] == [
        f"{label}\N{NO-BREAK SPACE}{number}" for label, number in (("Figure", 1), ("Table", 1), ("Figure", 2))
    ]
    for said in ("Trained for 3 epochs", "A line that rises", "Figure 1 Curves of 3 epochs"):
        assert squeezed(said) in squeezed(soup.get_text() + str(soup.img))
    assert "Trainedfor3epochs" in text
    assert "Figure1Curvesof3epochs" in text


def test_plain_nbconvert_shows_texts_figures_and_tables(converted):
    soup = parsed((converted / "plain.html").read_text(encoding="utf-8"))
    assert [h.get_text().rstrip("¶") for h in soup.find_all(["h1", "h2"])] == [
        "Question 1 · A CNN: architecture and accuracy", "Curves"
    ]  # fmt: skip
    assert "Trained for 3 epochs" in squeezed(soup.get_text()).replace(
        "Trainedfor3epochs", "Trained for 3 epochs"
    )
    assert [img["alt"] for img in soup.select("figure img")] == ["A line that rises", "Another line"]
    assert soup.find("table", id="layers").caption.get_text().startswith("All layers")
    assert "%%prose" not in soup.get_text()


def test_headings_that_skip_a_level_are_raised_on_page_and_paper():
    notebook = executed(" # Title", " #### Deep\n\nText\n\n##### Deeper\n\nText\n\n## Higher\n\n`<h4>`")
    headings = parsed(page(notebook)).main.find_all(re.compile("^h[2-6]$"))
    assert [(tag.name, tag.get_text()) for tag in headings if tag.get_text() != "Title"] == [
        ("h3", "Deep"),
        ("h4", "Deeper"),
        ("h3", "Higher"),
    ]
    assert "Deeper" in printed(paper(notebook))
