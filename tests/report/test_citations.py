"""Citations in passages, and the works that they name."""

import json

import pytest
from conftest import ROOT
from report_project import executed, merged, page, paper, parsed, printed, shown, squeezed

from fer_lib.errors import InputError
from fer_lib.report.citations import cite, references

HE = '[He et al., 2015](https://doi.org/10.1109/ICCV.2015.123 "'
CITING = "%%prose en\nAs [@zeiler2014; @he2015] say, and @he2015.\n\n$$\nL = -\\log p_c\n$$\n\nfor $p_c$"
CHINESE = "%%prose zh-TW\n依[@he2015]的方法"


def test_citation_reads_as_words_that_lead_to_the_work():
    assert cite("Drawn [@he2015].", "en").startswith(f"Drawn ({HE}Delving deep")
    two = cite("[@he2015; @glorot2010]", "en")
    assert two.startswith(f"({HE}") and "; [Glorot & Bengio, 2010](https://" in two
    assert cite("@he2015 say", "en").startswith("He et al. ([2015](https://doi.org/")
    assert cite("依[@glorot2010]", "zh-TW").startswith("依（[Glorot 與 Bengio，2010](https://")
    assert cite("@he2015 的方法", "zh-TW").startswith("He 等人（[2015](https://")


@pytest.mark.parametrize(
    "text", ["`[@he2015]`", "```\n@he2015\n```", r"\@he2015", "b00000000@he2015.tw", "thanks to @alice"]
)
def test_what_is_code_or_a_name_is_no_citation(text):
    assert cite(text, "en") == text


@pytest.mark.parametrize("text", ["[@he2051]", "[@he2015; @he2051]", "as @he2051 say"])
def test_unknown_work_is_an_input_error_with_the_nearest_key(text):
    with pytest.raises(InputError, match=r"@he2051 is not in .*references\.bib \(did you mean he201\d\?\)"):
        cite(text, "en")


def test_name_in_a_passage_is_no_citation():
    [output] = shown("%%prose en\nWith {{ WHO }}.", WHO="[@he2015] @he2015")
    assert "doi.org" not in output["data"]["text/markdown"]


def test_all_works_have_authors_a_year_and_an_address_of_their_own():
    works = references()
    assert len({work.url for work in works.values()}) == len(works) > 20
    for key, work in works.items():
        assert key.endswith(str(work.year)) and work.authors[0].lower() in key
        assert str(work.year) in work.html and work.url.split("//")[1] in work.html


def test_every_work_in_the_bibliography_is_cited_and_none_by_words_alone():
    cells = [
        "".join(cell["source"])
        for path in (ROOT / "notebooks").glob("*.ipynb")
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]
    ]
    text = "\n".join(cells)
    assert [key for key in references() if f"@{key}" not in text] == []
    assert "et al." not in text and "等人，" not in text


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    english = executed(CITING, " Also [@guo2017] and [@he2015].", language="en")
    chinese = executed(CHINESE, language="zh-TW")
    return merged(tmp_path_factory.mktemp("report"), {"en": {"q1": english}, "zh-TW": {"q1": chinese}})


def test_report_numbers_works_in_the_order_of_their_citations_and_lists_them_in_each_language(both):
    html = parsed(page(both))
    text = squeezed(html.find(class_="chapter").get_text())
    assert "As[1,2]say,andHeetal.[2]." in text
    assert "Also[3]and[2]." in text
    lists = html.select(".references ol")
    assert [[item["id"] for item in each.find_all("li")] for each in lists] == [
        ["ref-zeiler2014", "ref-he2015", "ref-guo2017"],
        ["zh-TW-ref-he2015"],
    ]
    assert lists[0].find_all("li")[1].a["href"] == "https://doi.org/10.1109/ICCV.2015.123"
    assert [each.get_text() for each in html.select(".references h2")] == ["References", "參考文獻"]
    assert "依 [1] 的方法" in html.get_text()


def test_paper_has_the_same_numbers_and_list_and_equations_with_a_description():
    text = printed(paper(executed(CITING, language="en")))  # PDF/UA-1 asks for the description
    assert "As[1,2]say,andHeetal.[2]." in text
    assert "References" in text and "[1]Zeiler,MatthewD.,andRobFergus.2014." in text


def test_equations_are_mathml_on_the_page(both):
    html = parsed(page(both))
    assert [each["display"] for each in html.find_all("math")] == ["block", "inline"]
    assert html.find(class_="equation").find("msub").get_text() == "pc"


def test_unknown_work_in_a_markdown_cell_names_the_notebook():
    with pytest.raises(InputError, match=r"\.ipynb, cell «See \[@he2051\]\.»: @he2051 is not in"):
        page(executed(" See [@he2051].", "%%prose en\ntext", language="en"))
