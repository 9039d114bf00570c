import base64
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import RichOutput, capture_output
from test_prose import write

from fer_lib.errors import InputError
from fer_lib.publish.answer import METADATA, Answer

Shown = Callable[[str, Callable[[Answer], None]], list[RichOutput]]


@pytest.fixture
def shown(tmp_path: Path) -> Iterator[Shown]:
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


def test_a_text_is_shown_filled_and_keeps_its_facts(shown: Shown) -> None:
    (output,) = shown("## a.b\nIt is **{x:.1%}**\n", lambda answer: answer.text("a.b", x=0.5))
    assert output.data["text/html"] == "<p>It is <strong>50.0%</strong></p>"
    assert note(output) == {
        "question": "q1",
        "language": "en",
        "kind": "text",
        "key": "a.b",
        "facts": {"x": 0.5},
        "runs": [],
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
