"""Words of a student's own in the report."""

import base64
import re
from pathlib import Path

import pytest
import yaml
from PIL import Image
from report_project import Project, first, second

from fer_lib.errors import InputError
from fer_lib.publish.document import Report
from fer_lib.publish.prose import read_sections, report_folder


@pytest.fixture
def told(tmp_path: Path):
    """The report of questions 1 and 2 with own words."""

    def tell(words: str, **options) -> Report:
        project = Project(tmp_path)
        own = tmp_path / "my.md"
        own.write_text(words, encoding="utf-8")
        picture(tmp_path / "own.png")
        notebooks = [project.notebook("q1", first), project.notebook("q2", second)]
        return project.assemble(*notebooks, own=own, **options)

    return tell


def picture(path: Path) -> None:
    Image.new("RGB", (1200, 400), "teal").save(path)


def parts(report: Report, question: int) -> list[str]:
    return [block.key for block in report.chapters[question - 1].blocks]


def test_words_are_added_where_they_are_asked_for(told):
    report = told("## q1\nEnd\n\n## q1.before\nStart\n\n## q1.after.curves\nMiddle\n")
    assert parts(report, 1) == ["own", "training", "curves", "own", "layers", "own"]
    texts = [block.html for block in report.chapters[0].blocks if block.key == "own"]
    assert texts == ["<p>Start</p>", "<p>Middle</p>", "<p>End</p>"]


def test_words_take_the_place_of_others_with_live_numbers_of_all_questions(told):
    report = told("## q1.training\n{epochs} epochs, {accuracy:.1%}, DNN {q2.accuracy:.1%}, [see](#curves)\n")
    first_block = report.chapters[0].blocks[0]
    assert (
        first_block.html
        == '<p>3 epochs, 63.9%, DNN 42.0%, <a href="#q1-curves">圖\N{NO-BREAK SPACE}1</a></p>'
    )


def test_own_words_instead_leave_figures_and_tables(told):
    report = told("## q1.instead\nMine\n")
    assert parts(report, 1) == ["own", "curves", "layers"]
    assert parts(report, 2) == ["curves"]


def test_pictures_are_part_of_page_and_paper(tmp_path):
    project = Project(tmp_path)
    picture(tmp_path / "我的 圖.png")
    own = tmp_path / "my.md"
    own.write_text('## q1\nSee ![a *teal* "field"](<我的 圖.png>) here\n', encoding="utf-8")
    page, paper = project.render(project.notebook("q1", first), own=own)
    [shown] = page.select("p img")
    assert shown["alt"] == 'a teal "field"'
    assert (
        base64.b64decode(shown["src"].removeprefix("data:image/png;base64,"))
        == (tmp_path / "我的 圖.png").read_bytes()
    )
    sizes = [image.image.size for sheet in paper.pages for image in sheet.images]
    assert (1200, 400) in sizes


def test_captions_and_lines_of_the_report_can_be_ones_own(told):
    report = told("## q1.curves\nMy caption of {epochs}\n\n## report.subtitle\nMy title\n")
    assert report.chapters[0].blocks[1].html == "My caption of 3"
    assert report.subtitle == "My title"


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (
            "\n## q1.training\n\n{acuracy:.1%}\n",
            r"my\.md, line 4: nothing is known of \{acuracy\}; did you mean",
        ),
        ("## q9\nx\n", r"my\.md, line 2: the report has no place 'q9'; did you mean"),
        ("## q1.trainig\nx\n", r"my\.md, line 2: .* 'q1\.trainig'; did you mean 'q1\.training'"),
        (
            "## q1.after.question\nx\n",
            r"my\.md, line 2: there is no 'question' .* shows curves, layers, training",
        ),
        ("## Q1 x\nx\n", r"my\.md, line 1: '## Q1 x' starts a section"),
        ("# q1\nMy answer\n", r"my\.md, line 1: nothing says where this goes .* '## q1'"),
        ("\nA preface\n\n## q1\nx\n", r"my\.md, line 2: nothing says where this goes"),
        ("", r"my\.md, line 1: nothing says where this goes"),
        ("## q1\n![a curve](nowhere.png)\n", r"my\.md, line 2: there is no picture nowhere\.png"),
        (
            "## q1\n![a page](https://a.org/x.png)\n",
            r"my\.md, line 2: there is no picture https://a\.org/x\.png",
        ),
        ("## q1\n![](own.png)\n", r"my\.md, line 2: the picture own\.png needs a description"),
    ],
)
def test_an_error_in_own_words_names_file_and_line(told, words, complaint):
    with pytest.raises(InputError, match=complaint):
        told(words)


def test_a_short_report_keeps_parts_and_their_variants_and_numbers_them_anew(told):
    report = told("## q1\nMine\n", keep={"q1": ["train", "layers"], "q2": ["curves"]})
    assert parts(report, 1) == ["layers", "own"]
    assert [b.label for c in report.chapters for b in c.blocks if b.label] == [
        "表\N{NO-BREAK SPACE}1",
        "圖\N{NO-BREAK SPACE}1",
    ]


KEPT = yaml.safe_load((report_folder() / "short.yaml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("question", KEPT)
def test_the_short_form_keeps_parts_that_there_are_and_what_they_point_to(question):
    names = KEPT[question]
    there = read_sections(report_folder() / "text" / "en" / f"{question}.md")
    unknown = [n for n in names if not any(key == n or key.startswith(f"{n}.") for key in there)]
    assert unknown == []
    kept = {key: there[key] for key in there if any(key == n or key.startswith(f"{n}.") for n in names)}
    pointed = {(key, target) for key in kept for target in re.findall(r"\]\(#([\w.]+)\)", kept[key].text)}
    assert {(key, target) for key, target in pointed if target not in kept} == set()
