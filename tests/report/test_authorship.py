"""Which words of a report are its author's, where page and paper say so, and what a class's pages tell."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from conftest import ROOT
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from report_project import WHO, page, paper, parsed, printed, squeezed
from small_project import PROSE, entered

from fer_lib import data
from fer_lib.cli import main
from fer_lib.errors import InputError
from fer_lib.report import build, handed_in
from fer_lib.report.authorship import count_words
from fer_lib.report.exporters import ReportExporter
from fer_lib.report.record import Record, decisive, read_page

OBSERVED = "Six of ten faces in this cell would be called *neutral* by me too."


def packaged(name: str) -> dict[str, dict]:
    """The cells of a committed notebook by id."""
    content = json.loads((ROOT / "notebooks" / f"{name}.ipynb").read_text(encoding="utf-8"))
    return {cell["id"]: cell for cell in content["cells"]}


def record(report, folder: Path) -> Record:
    """What the page of a notebook says of itself."""
    return read_page(written(report, folder / "page.html"))


def written(report, path: Path, **title: str) -> Path:
    """The page of a notebook as a file."""
    path.write_text(page(report, {**WHO, **title}), encoding="utf-8")
    return path


def chapter(*, observed: str = "", words: str = "", seconds: float = 1.5):
    """A notebook with a passage of the package, its observation and a cell of its author's."""
    cells = packaged("q3_confusion")
    passage, asks = ("".join(cells[cell_id]["source"]) for cell_id in ("q3-question-en", "q3-observation"))
    note = {"kind": "facts", "facts": {"seconds": seconds, "errors": 3}, "language": "en"}
    shown = new_output(
        "display_data", {"text/markdown": passage.partition("\n")[2]}, metadata={"fer_lib": note}
    )
    made = [
        new_code_cell(passage, id="q3-question-en", outputs=[shown], execution_count=1),
        new_markdown_cell(asks + observed, id="q3-observation", metadata={"tags": ["observation"]}),
    ]
    own = [new_markdown_cell(words, id="mine")] if words else []
    return new_notebook(cells=[*made[:1], *own, *made[1:]])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Two words, **three**.", 3),
        ("我看了 30 張臉", 6),
        ("%%prose en\n{% if x %}It is {{ share | pct }}, see [the figure](#q3-matrix).{% endif %}", 5),
        ("CNN的錯 don't 3.5% <b>x</b>", 6),
    ],
)
def test_words_are_counted_without_placeholders_and_signs(text, words):
    assert count_words(text) == words


def test_only_what_was_added_to_an_observation_is_shown_and_marked_as_the_authors():
    report = chapter(observed=f"\n\n{OBSERVED}")
    soup = parsed(page(report))
    [own] = soup.select(".own")
    assert (own["role"], own["aria-label"]) == ("group", "Added by the author")
    assert own.select_one("p:not(.whose)").get_text() == OBSERVED.replace("*", "")
    assert "14 words" in soup.select_one(".authorship").get_text() and "1 of 1" in soup.get_text()
    assert "Double-click" not in soup.get_text() and "你的觀察" not in soup.get_text()
    text = printed(paper(report))
    assert squeezed("Added by the author Six of ten") in text and "Double-click" not in text


def test_a_report_says_where_nothing_was_added():
    soup = parsed(page(chapter()))
    assert soup.select_one(".missing").get_text() == "The author added no observation to this question."
    assert "no words of their own" in soup.select_one(".authorship").get_text() and not soup.select(".own")
    assert squeezed("no observation to this question") in printed(paper(chapter()))
    assert not parsed(page(chapter(words="A thought."))).select(".missing")


def test_a_changed_passage_is_marked_and_does_not_count_as_the_authors(tmp_path):
    report = chapter()
    report.cells[0].source = report.cells[0].source.replace("Plot the", "Draw the") + "\nMine."
    soup = parsed(page(report))
    assert [part["aria-label"] for part in soup.select(".own")] == ["Changed by the author"]
    [own] = record(report, tmp_path).own.values()
    assert own.changed == ["q3-question-en"] and own.words == 0


def test_a_class_is_a_table_with_what_is_alike_and_what_was_edited(tmp_path, capsys):
    files = {
        "a": written(chapter(observed=f"\n{OBSERVED}"), tmp_path / "a.html", name="=1+1"),
        "b": written(chapter(observed=f"\n\n{OBSERVED.upper()}", seconds=2.5), tmp_path / "b.html"),
        "c": written(chapter(), tmp_path / "c.html"),
        "d": tmp_path / "d.html",
        "e": tmp_path / "e.html",
    }
    files["d"].write_text("<html></html>")
    files["e"].write_text(files["c"].read_text().replace("expressions", "faces", 1))
    table, out = tmp_path / "class.csv", tmp_path / "build"
    assert main(["verify", *map(str, files.values()), "--report", str(out), "--out", str(table)]) == 0
    assert "no page of a report" in capsys.readouterr().out
    rows = pd.read_csv(table, keep_default_na=False).set_index("file")
    rows.index = list(files)
    assert rows["own_words"].tolist() == [14, 14, 0, 0, 0]
    assert rows["observations"].tolist() == ["1 of 1", "1 of 1", "0 of 1", "", "0 of 1"]
    assert rows["name"]["a"] == "'=1+1"  # no formula for a spreadsheet
    assert f"same words as {files['b']}" in rows["remarks"]["a"]
    assert f"same run as {files['c']}, {files['e']}" in rows["remarks"]["a"]
    assert "same" not in rows["remarks"]["b"].replace("same words", "")
    assert ["edited after it was made" in text for text in rows["remarks"]] == [False] * 4 + [True]


def test_a_record_that_is_none_is_named(tmp_path):
    good = written(chapter(), tmp_path / "page.html").read_text(encoding="utf-8")
    for old, new in (
        ('"language": "en"', '"language": [}'),
        ('"errors": [3]', '"errors": {}'),
        ("errors", "<"),
    ):
        (tmp_path / "bad.html").write_text(good.replace(old, new).replace('"own": {', '"own": {"x": 1, '))
        with pytest.raises(InputError, match=r"bad\.html is no page of a report, or its record is damaged"):
            read_page(tmp_path / "bad.html")
    with pytest.raises(InputError, match=r"There is no file .*nowhere"):
        handed_in.verify_pages([tmp_path / "nowhere.html"], out=tmp_path)


def test_numbers_of_a_page_are_compared_with_what_its_settings_give_here(tmp_path):
    cells = (
        PROSE,
        "facts(run={'id': 'r'}, twice=2 * SEED, seconds=SEED + 0.5)",
        "%%prose en\n# One\n{{ SEED | num }}",
    )
    with entered(tmp_path / "project") as project:
        project.profile("quick", "")
        project.write("q1_cnn", 'DATA = ""\nSEED = 3\nLANGUAGE = "en"', *cells)
        project.chapters("q1_cnn")
        out = project.root / "build"
        faces = data.source_fingerprint("")
        given = {"q1_cnn": {"DATA": "", "SEED": 4, "LANGUAGE": "en"}}
        notebooks = build.run_notebooks(given, {"en": out / "executed"}, faces)
        made = {"profile": "quick", "fingerprint": faces, "parameters": decisive(given)}
        content = ReportExporter(title=WHO, made=made).from_notebook_node(build.merge(notebooks))[0]
        files = [tmp_path / f"{name}.html" for name in ("true", "false", "other", "evil")]
        changes = [
            ("", ""),
            ('"q1_cnn.twice": [8]', '"q1_cnn.twice": [9]'),
            (faces, "0123"),
            ('{"q1_cnn": {"SEED', '{"../evil": {"SEED'),
        ]
        for file, (old, new) in zip(files, changes, strict=True):
            file.write_text(content.replace(old, new) if old else content, encoding="utf-8")
        assert list(handed_in.verify_pages(files, out=out)["agree"]) == [""] * 4
        repeated = handed_in.verify_pages(files, out=out, repeat=True)
        assert list(repeated["agree"]) == ["3 of 3", "2 of 3", "", ""]
        assert "differs: q1_cnn.twice" in repeated["remarks"][1]
        assert "other faces" in repeated["remarks"][2]
        assert "cannot be repeated: Unknown chapter: ../evil" in repeated["remarks"][3]
        shutil.rmtree(project.root / "notebooks")  # what was repeated is kept
        assert list(handed_in.verify_pages(files, out=out)["agree"]) == ["3 of 3", "2 of 3", "", ""]
