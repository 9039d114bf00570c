import io
import os
import subprocess
import sys
import warnings
from importlib.util import find_spec
from pathlib import Path

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
import pytest
from fontTools.ttLib import TTFont
from matplotlib.figure import Figure
from matplotlib.ft2font import FT2Font, LoadFlags

from fer_lib import fonts
from fer_lib.errors import InputError

PUNCTUATION = "中，。、；：？！"  # only beside a Chinese character is punctuation Chinese
FORMS = "骨誤直角花草過鼻練習驗證準確率"
SOURCES = {fonts.FAMILY: "NotoSansCJKsc-Regular.otf", fonts.SERIF_FAMILY: "NotoSerifCJKsc-Regular.otf"}
families = pytest.mark.parametrize("family", SOURCES)


def source(family: str) -> Path:
    spec = find_spec("mplfonts")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "fonts" / SOURCES[family]


def picture(path: Path, text: str, language: str | None = None) -> npt.NDArray[np.uint8]:
    """The text as the font engine draws it in a language."""
    font = FT2Font(str(path))
    font.set_size(40, 72)
    font.set_text(text, 0.0, LoadFlags.NO_HINTING, language=language)
    font.draw_glyphs_to_bitmap()
    return np.asarray(font.get_image())


@families
@pytest.mark.parametrize("text", [PUNCTUATION, FORMS, "".join(map(chr, range(0x9AA8, 0x9AA8 + 200)))])
def test_characters_have_the_forms_that_the_source_has_for_taiwan(family: str, text: str) -> None:
    made = picture(fonts.chinese_font(family), text)
    np.testing.assert_array_equal(made, picture(source(family), text, "zh-TW"))
    assert not np.array_equal(made, picture(source(family), text))


@families
def test_fullwidth_punctuation_stands_in_the_middle_of_its_square(family: str) -> None:
    font = FT2Font(str(fonts.chinese_font(family)))
    font.set_size(1000, 72)
    for mark in "，。、；：":
        glyph = font.load_char(ord(mark), LoadFlags.NO_HINTING)
        middle = glyph.horiBearingX + glyph.width / 2
        assert middle / glyph.horiAdvance == pytest.approx(0.5, abs=0.06), mark


@families
def test_quotation_marks_are_as_narrow_as_latin_ones(family: str) -> None:
    font = TTFont(fonts.chinese_font(family), lazy=True)
    glyphs = font.getBestCmap()
    assert all(font["hmtx"][glyphs[ord(mark)]][0] < 600 for mark in "‘’“”−")


@families
def test_a_font_bears_its_own_name_and_the_licence(family: str) -> None:
    names = TTFont(fonts.chinese_font(family), lazy=True)["name"]
    assert names.getDebugName(1) == family
    assert "Noto" not in "".join(names.getDebugName(i) or "" for i in (1, 3, 4, 6))
    assert "SIL Open Font License" in names.getDebugName(13)


def test_a_font_is_made_once_and_kept_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mpl, "get_cachedir", lambda: str(tmp_path))
    first = fonts.chinese_font()
    made = first.stat().st_mtime_ns
    assert first.is_relative_to(tmp_path)
    assert (fonts.chinese_font(), first.stat().st_mtime_ns) == (first, made)
    assert list(first.parent.iterdir()) == [first]


def test_no_place_for_a_font_is_an_input_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(mpl, "get_cachedir", lambda: str(tmp_path / "file"))
    with pytest.raises(InputError, match="set MPLCONFIGDIR"):
        fonts.chinese_font()


def test_two_processes_can_make_the_same_font_at_once(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from fer_lib import fonts; print(fonts.chinese_font())"]
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    running = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    paths = {process.communicate(timeout=60)[0].strip() for process in running}
    assert [process.returncode for process in running] == [0, 0]
    [path] = paths
    assert TTFont(path, lazy=True)["name"].getDebugName(1) == fonts.FAMILY
    assert list(Path(path).parent.iterdir()) == [Path(path)]


def test_matplotlib_draws_chinese_without_a_missing_glyph() -> None:
    with mpl.rc_context(), warnings.catch_warnings():
        warnings.simplefilter("error")
        fonts.use_in_matplotlib()
        figure = Figure()
        figure.text(0, 0, f"{FORMS}{PUNCTUATION} −0.5 ∂ ABC")
        figure.savefig(io.BytesIO(), format="svg")


@families
def test_a_subset_holds_the_characters_and_hardly_more(family: str) -> None:
    data = fonts.woff2_subset(FORMS + "ABC", family)
    characters = {chr(code) for code in TTFont(io.BytesIO(data)).getBestCmap()}
    assert characters == set(FORMS + "ABC")
    assert len(data) < 20_000


def test_a_subset_leaves_out_what_the_font_lacks() -> None:
    data = fonts.woff2_subset("骨\N{GRINNING FACE}")
    assert set(TTFont(io.BytesIO(data)).getBestCmap()) == {ord("骨")}
