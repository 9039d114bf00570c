"""What cells show: passages, figures, tables and facts."""

import base64
import re
from typing import Any

import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from report_project import ALL, HOSTILE, executed, kernel, parsed, run, shown

from fer_lib.errors import InputError
from fer_lib.labels import label_file
from fer_lib.report.markdown import markdown_to_html
from fer_lib.report.notes import METADATA, read_facts
from fer_lib.report.passages import fill

CAPTIONS = label_file("en")["captions"]


def note(output: Any) -> dict[str, Any]:
    return dict(output.metadata[METADATA])


def passage(template: str, **known: Any) -> str:
    """A filled passage, as Markdown."""
    [output] = shown(f"%%prose\n{template}", **known)
    return str(output.data["text/markdown"])


# Passages


@pytest.mark.parametrize(
    ("line", "language", "count"),
    [("en", "en", 1), ("zh-TW", "zh-TW", 1), ("en", "zh-TW", 0), ("zh-TW", "en", 0), ("", "en", 1)],
)
def test_passage_is_shown_in_its_language_only(line, language, count):
    assert len(shown(f"%%prose {line}\nText", language=language)) == count


def test_passage_of_another_language_may_name_what_is_not_there():
    assert shown("%%prose zh-TW\n{{ nowhere }}") == []


def test_passage_whose_conditions_do_not_hold_shows_nothing():
    assert shown("%%prose\n{% if drawn %}\nDrawn.\n{% endif %}", drawn=False) == []


def test_passage_in_an_unknown_language_is_an_input_error():
    with pytest.raises(InputError, match="zh_TW: there is no such language; write en or zh-TW"):
        shown("%%prose zh_TW\nText")


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{ share | pct }}", "58.7%"),
        ("{{ share | pct(0) }}", "59%"),
        ("{{ -share | pct }}", "−58.7%"),
        ("{{ faces }}", "28,709"),
        ("{{ faces | num }} of {{ 2 * faces }}", "28,709 of 57,418"),
        ("{{ share }} {{ share | num(2) }} {{ -3 }}", "0.587 0.59 −3"),
        ("{{ scores.mean() }}", "0.5"),
        ("{{ run.accuracy.private | pct(2) }}", "66.51%"),
        ("{{ pairs[0].name }}", "Fear"),
        ("{{ pairs[0].name | code }}", "`Fear`"),
        ("{{ pairs | length }}", "1"),
        ("It is {% if share > 0.5 %}more{% else %}less{% endif %}.", "It is more."),
        ("{% for pair in pairs %}\n- {{ pair.name }}\n{% endfor %}", "- Fear"),
        ("{{ '{{' }} x", r"\{\{ x"),
    ],
)
def test_placeholder_stands_for_a_value_in_its_format(template, text):
    known = {
        "share": 0.587,
        "faces": 28709,
        "scores": np.array([0.25, 0.75]),
        "run": {"accuracy": {"private": 0.66508}},
        "pairs": [{"name": "Fear"}],
    }
    assert passage(template, **known) == text


@pytest.mark.parametrize(
    ("template", "complaint"),
    [
        (
            "See {{ acuracy | pct }}",
            "«See {{ acuracy | pct }}»: 'acuracy' is undefined (did you mean accuracy?).",
        ),
        ("{{ run.acuracy }}", "no attribute 'acuracy'"),
        ("{% if acuracy > 1 %}x{% endif %}", "'acuracy' is undefined"),
        ("one\n{{ accuracy", "line 2: unexpected end of template"),
        ("{{ accuracy | percent }}", "No filter named 'percent'"),
        ("{{ name | pct }}", "«{{ name | pct }}»: could not convert"),
        ("{{ accuracy / 0 }}", "division by zero"),
        ("{{ True }}", "True, which is neither a number nor a text"),
        ("{{ None }}", "None, which is neither"),
        ("{{ [name] }}", "which is neither"),
        ("{{ (1, 2) }}", "which is neither"),
        ("{{ run }}", "which is neither"),
        ("{{ flag }}", "which is neither"),
    ],
)
def test_passage_that_cannot_be_filled_is_an_input_error(template, complaint):
    known = {"accuracy": 0.5, "name": "Sad", "run": {"accuracy": 0.5}, "flag": np.bool_(True)}
    with pytest.raises(InputError, match=re.escape(complaint)):
        shown(f"%%prose\n{template}", **known)


def test_what_stops_a_cell_is_shown_as_a_sentence(capsys):
    with kernel(LANGUAGE="en", accuracy=0.5) as shell:
        shell.run_cell("%%prose\nSee {{ acuracy | pct }}")
    complaint = "InputError: In the passage «See {{ acuracy | pct }}»: 'acuracy' is undefined (did you mean accuracy?)."
    assert capsys.readouterr().out.strip() == complaint


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize(
    "template",
    ["{{ name }}", "a **{{ name }}** b", "{{ name | code }}", "- {{ name }}", "# {{ name }}", "> {{ name }}",
     "|a|\n|-|\n|{{ name }}|"],
)  # fmt: skip
def test_name_that_looks_like_markup_appears_as_it_is(template, name):
    soup = parsed(markdown_to_html(fill(template, {"name": name})))
    assert name in soup.get_text()
    assert soup.find(["script", "a", "em", "img", "li li", "ol"]) is None


@example("1. a").via("a list")
@example("10) a").via("a list")
@example("--- ").via("a line")
@example("a  \nb").via("a hard line break")
@given(st.text(alphabet=st.characters(blacklist_categories=["Cs", "Cc"]), min_size=1))
def test_any_text_survives_markdown(name):
    for template in ("{{ name }} after", "{{ name | code }} after"):
        [paragraph] = parsed(markdown_to_html(fill(template, {"name": name}))).find_all(recursive=False)
        assert paragraph.name == "p"
        assert paragraph.get_text().split() == f"{name} after".split()


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("一行，\n二行\n三行", "一行，二行三行"),
        ("# 標題\n一行\n二行", "# 標題\n一行二行"),
        ("一行\n- 二\n- 三\n\n四\n1. 五", "一行\n- 二\n- 三\n\n四\n1. 五"),
        ("一行\nCNN，\nDNN。", "一行\nCNN，DNN。"),
    ],
)
def test_lines_join_without_a_blank_where_chinese_has_none(template, text):
    assert passage(template) == text


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("It is {% if better %}better{% else %}worse{% endif %}\nthan chance", "It is better\nthan chance"),
        ("One\n{% if better %}\ntwo\n{% endif %}\nthree", "One\ntwo\nthree"),
        ("One {% if better -%}\n  two{% endif %}", "One two"),
    ],
)
def test_a_line_of_its_own_leaves_no_trace_and_one_with_text_does_not_run_into_the_next(template, text):
    assert fill(template, {"better": True}) == text


def test_html_in_a_passage_is_text():
    assert markdown_to_html("a <b>c</b>").strip() == "<p>a &lt;b&gt;c&lt;/b&gt;</p>"


def test_passage_notes_what_its_placeholders_stand_for():
    template = (
        "{{ share | pct(0) }} {{ names | length }} {{ run.faces | num }} {{ best.name | code }} {{ a or b }}"
    )
    facts = note(
        shown(
            f"%%prose\n{template}",
            share=0.587,
            names=["a", "b"],
            run={"faces": 9},
            best={"name": "x"},
            a=0,
            b=2,
        )[0]
    )["facts"]
    assert facts == {"share": 0.587, "names | length": 2, "run.faces": 9, "best.name": "x", "a or b": 2}


def test_passage_notes_nothing_of_a_branch_that_cannot_be_filled():
    [output] = shown(
        "%%prose\n{% if run %}{{ run.faces }}{% else %}{{ faces }}{% endif %}", run=None, faces=3
    )
    assert note(output) == {"kind": "prose", "language": "en", "facts": {"faces": 3}}


# Figures

FIGURE = 'figure(lines(), "curves", caption="After {{ n }} epochs", alt="{{ n }} points", n=3)'


def test_figure_is_a_drawing_with_caption_and_description_and_is_closed():
    [output] = shown(FIGURE)
    figure = parsed(output.data["text/html"]).find("figure", id="curves")
    assert output.data["image/svg+xml"].startswith("<?xml")
    assert output.data["text/plain"] == figure.img["alt"] == "3 points"
    assert figure.figcaption.get_text() == "After 3 epochs"
    assert base64.b64decode(figure.img["src"].partition(",")[2]).decode() == output.data["image/svg+xml"]
    assert plt.get_fignums() == []


def test_figure_of_lines_can_be_read_off_in_the_page():
    [output] = shown(FIGURE)
    [sheet] = parsed(output.data["text/html"]).select(".sheet.plot")
    assert '"name": "validation"' in sheet["data-curves"]
    assert '"y": [0.25, 0.5, 0.75]' in sheet["data-curves"]


def test_figure_of_many_pictures_is_kept_as_pixels():
    [output] = shown(FIGURE.replace("n=3", "n=3, raster=True"))
    assert base64.b64decode(output.data["image/png"]).startswith(b"\x89PNG")
    assert "image/svg+xml" not in output.data
    assert parsed(output.data["text/html"]).img["src"].startswith("data:image/webp;base64,")


def test_figure_has_its_own_size():
    outputs = shown(
        "for size in (3, 6):\n"
        "    drawn, ax = plt.subplots(figsize=(size, 2))\n"
        "    ax.set_axis_off()\n"
        "    ax.set_position([0, 0, 1, 1])\n"
        "    ax.imshow(np.eye(9), aspect='auto')\n"
        "    figure(drawn, f'size-{size}', caption='c', alt='a')"
    )
    assert [note(output)["width"] for output in outputs] == pytest.approx([3.08, 6.08])
    assert [parsed(o.data["text/html"]).img["style"][:14] for o in outputs] == [
        "--width: 296px",
        "--width: 584px",
    ]


def test_figure_drawn_twice_gives_the_same_bytes():
    assert shown(FIGURE) == shown(FIGURE)


def test_interactive_part_stands_in_for_the_picture_on_screens_only():
    frames = "Frames(('a', 'b'), np.zeros((2, 1, 4, 4), np.uint8), 'switch', 'Method')"
    [output] = shown(FIGURE.replace("n=3", f"n=3, interactive={frames}"))
    figure = parsed(output.data["text/html"]).find("figure", id="curves")
    assert figure.img is None
    assert len(figure.select("input[type=radio]")) == 2
    assert figure.figcaption.get_text() == "After 3 epochs"
    assert output.data["image/svg+xml"].startswith("<?xml")


def test_counts_of_a_matrix_are_noted():
    source = """
cells = Cells(["a", "b"], np.array([[3, 1], [0, 2]]), np.zeros((0, 4, 4), np.uint8), np.zeros(0, int), np.zeros((0, 2)))
figure(lines(), "matrix", caption="c", alt="a", interactive=cells)
"""
    [output] = shown(source)
    assert note(output)["facts"] == {"matrix.count": {"a.a": 3, "a.b": 1, "b.a": 0, "b.b": 2}}


def test_caption_by_default_is_that_of_the_labels():
    key = next(key for key, texts in CAPTIONS.items() if "{{" not in texts["caption"] and "alt" not in texts)
    [output] = shown(f"table(pd.DataFrame({{'a': ['x']}}), {key!r})")
    assert parsed(output.data["text/html"]).caption.get_text() == CAPTIONS[key]["caption"]


@pytest.mark.parametrize("part", ["caption", "alt"])
def test_figure_without_caption_or_description_is_an_input_error(part):
    key = next(iter(CAPTIONS))
    given = {"caption": "c", "alt": "a"}
    del given[part]
    with pytest.raises(InputError, match=rf"no {part} for '{key}x' .did you mean {key}.*en\.yaml.*{part}=…"):
        shown(f"figure(lines(), '{key}x', **{given})")


def test_caption_that_cannot_be_filled_is_an_input_error():
    with pytest.raises(InputError, match="'epoch' is undefined .did you mean epochs"):
        shown("figure(lines(), 'x', caption='{{ epoch }}', alt='a', epochs=3)")


@pytest.mark.parametrize("key", ["my plot", "1st", "", 'x"y', "<b>"])
@pytest.mark.parametrize(
    "call", ["figure(lines(), {}, caption='c', alt='a')", "table(pd.DataFrame(), {}, caption='c')"]
)
def test_name_that_no_link_could_lead_to_is_an_input_error(call, key):
    with pytest.raises(InputError, match="cannot name a figure or table"):
        shown(call.format(repr(key)))
    plt.close("all")


def test_figures_and_tables_name_the_runs_that_they_come_from():
    with kernel(LANGUAGE="en") as shell:
        run(shell, "source('cnn-0123', 'dnn-<b>')")
        [figure] = run(shell, FIGURE)
        [table] = run(shell, "table(pd.DataFrame({'a': ['x']}), 'letters', caption='c')")
        run(shell, "source()")
        [later] = run(shell, FIGURE)
    for output in (figure, table):
        runs = parsed(output.data["text/html"]).select(":is(figcaption, caption) .runs code")
        assert [run.get_text() for run in runs] == note(output)["runs"] == ["cnn-0123", "dnn-<b>"]
    assert note(later)["runs"] == []
    assert "runs" not in later.data["text/html"]


# Tables

TABLE = """
frame = pd.DataFrame({"layer": ["<conv>", "dense"], "count": [36928, -7], "share": [0.25, np.nan]})
table(frame, "layers", caption="The {{ n }} layers", formats={"count": ",d", "share": ".0%"}, n=2)
"""


def test_table_has_a_caption_and_scoped_headers_and_formatted_cells():
    [output] = shown(TABLE)
    table = parsed(output.data["text/html"]).find("table", id="layers")
    assert table.caption.get_text() == "The 2 layers"
    assert [th.get_text() for th in table.select("th[scope=col]")] == ["layer", "count", "share"]
    assert [th.get_text() for th in table.select("th[scope=row]")] == ["<conv>", "dense"]
    assert [td.get_text() for td in table.select("td")] == ["36,928", "25%", "−7", ""]
    assert "dense" in output.data["text/plain"]


def test_numbers_of_a_table_are_set_to_the_right():
    [output] = shown(TABLE)
    sides = [cell["style"] for cell in parsed(output.data["text/html"]).select("tr:nth-child(1) > *")]
    assert sides == [f"text-align: {side}" for side in ("left", "right", "right")] * 2


def test_cells_of_a_table_are_noted_as_they_are_shown():
    [output] = shown(TABLE)
    assert note(output) == {
        "kind": "table",
        "key": "layers",
        "language": "en",
        "caption": "The 2 layers",
        "runs": [],
        "columns": ["layer", "count", "share"],
        "rows": [["<conv>", "36,928", "25%"], ["dense", "−7", ""]],
        "numeric": [False, True, True],
    }


@pytest.mark.parametrize("missing", ["None", "np.nan", "pd.NA", "pd.NaT", "np.float32('nan')"])
def test_missing_value_leaves_its_cell_empty(missing):
    [output] = shown(
        f"table(pd.DataFrame({{'a': ['x'], 'b': [{missing}]}}), 't', caption='c', formats={{'b': '.1f'}})"
    )
    assert note(output)["rows"] == [["x", ""]]


def test_format_that_does_not_fit_a_column_is_an_input_error():
    with pytest.raises(InputError, match=r"table 't', column 'b': 1\.5 cannot be written as 'd'"):
        shown("table(pd.DataFrame({'a': ['x'], 'b': [1.5]}), 't', caption='c', formats={'b': 'd'})")


@pytest.mark.parametrize("sortable", [True, False])
def test_table_is_sortable_if_asked_for(sortable):
    [output] = shown(f"table(pd.DataFrame({{'a': ['x']}}), 't', caption='c', sortable={sortable})")
    assert len(parsed(output.data["text/html"]).select("table.sortable")) == sortable


def test_texts_of_a_table_are_texts():
    [output] = shown(
        "table(pd.DataFrame({name: [name], 'b': [name]}), 't', caption='{{ name }}')",
        name=ALL,
    )
    cells = [cell.get_text() for cell in parsed(output.data["text/html"]).select("caption, th, td")]
    assert cells == [ALL, ALL, "b", ALL, ALL]


def test_format_for_no_column_is_an_input_error():
    with pytest.raises(InputError, match="table 't' has no column 'shares' .did you mean share"):
        shown("table(pd.DataFrame({'share': [1]}), 't', caption='c', formats={'shares': '.0%'})")


# Facts


def test_facts_are_kept_as_json_and_show_nothing():
    [output] = shown(
        "facts(accuracy=np.float32(0.5), counts=np.arange(2), by={3: (1, 2)}, none=np.nan, drawn=np.bool_(True))"
    )
    assert note(output)["kind"] == "facts"
    assert note(output)["facts"] == {
        "accuracy": 0.5, "counts": [0, 1], "by": {"3": [1, 2]}, "none": None, "drawn": True,
    }  # fmt: skip
    assert output.data == {"text/html": ""}


def test_fact_that_json_cannot_keep_is_an_input_error():
    with pytest.raises(InputError, match="<object .* is not a fact"):
        shown("facts(a={'b': object()})")


def test_facts_are_read_from_all_executed_notebooks_later_ones_first(tmp_path):
    q1 = executed("facts(accuracy=0.5, faces=3)", "facts(accuracy=0.6)")
    q2 = executed("%%prose\n{{ x }}", "facts(drawn=True)", x=1)
    for name, notebook in {"q1_cnn": q1, "q2_dnn": q2, "q3.failed": q1, "q4.running": q1}.items():
        nbformat.write(notebook, tmp_path / f"{name}.ipynb")
    assert read_facts(tmp_path) == {"q1_cnn": {"accuracy": 0.6, "faces": 3}, "q2_dnn": {"drawn": True}}


def test_folder_without_executed_notebooks_is_an_input_error(tmp_path):
    with pytest.raises(
        InputError, match=f"no executed notebook in {re.escape(str(tmp_path))}; run `make report`"
    ):
        read_facts(tmp_path)
