"""Chinese in Taiwan's forms, on any machine: two fonts made from those of the mplfonts wheel.

The wheel's Noto CJK fonts show Simplified Chinese forms; the Traditional ones, with punctuation in the middle
of its square, stand behind the OpenType feature `locl` for the language ZHT, which few programs ask for.
The fonts made here show them in every program. They go to Matplotlib's cache, once; nothing is installed.
"""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import io
from pathlib import Path

from fontTools.ttLib import TTFont
from fontTools.ttLib.tables.DefaultTable import DefaultTable

from fer_lib.errors import InputError
from fer_lib.files import atomic_write

FAMILY = "FER Sans TC"
"""Hei (sans-serif): headings, figures, screens. Its Latin letters are those of Source Sans."""

SERIF_FAMILY = "FER Serif TC"
"""Ming (serif): text on paper. Its Latin letters are those of Source Serif."""

_SOURCES = {FAMILY: "NotoSansCJKsc-Regular.otf", SERIF_FAMILY: "NotoSerifCJKsc-Regular.otf"}
_BUILD = 1  # to be raised when `_traditional` makes other fonts
# Signs that Chinese has in common with Latin and that Noto CJK makes as wide as a Chinese character.
_PROPORTIONAL = "‘’“”\N{MINUS SIGN}"


def chinese_font(family: str = FAMILY) -> Path:
    """The font file of a family, `FAMILY` or `SERIF_FAMILY`; made on the first call, which takes a second.

    Raises:
        InputError: The wheel is not installed, or no folder for it can be written.
    """
    import matplotlib as mpl

    source = _wheel() / _SOURCES[family]
    try:
        cache = Path(mpl.get_cachedir()) / f"fer-lib-{importlib.metadata.version('mplfonts')}-{_BUILD}"
        path = cache / f"{family.replace(' ', '')}.otf"
        if not path.is_file():
            data = _traditional(source, family)
            with atomic_write(path) as temporary:
                temporary.write_bytes(data)
    except OSError as error:
        raise InputError(
            f"No font can be kept ({error}); set MPLCONFIGDIR to a folder to write in."
        ) from None
    return path


def use_in_matplotlib() -> None:
    """Sets the text of figures in `FAMILY`, what it lacks in Matplotlib's own font."""
    import matplotlib as mpl
    from matplotlib import font_manager

    font_manager.fontManager.addfont(chinese_font())
    mpl.rcParams["font.family"] = [FAMILY, "DejaVu Sans"]


@functools.lru_cache(maxsize=4)
def woff2_subset(characters: str, family: str = FAMILY) -> bytes:
    """The part of a font that shows `characters`, as WOFF2 for a web page, without what it lacks."""
    from fontTools import subset  # half a second to load, which figures need not wait for

    options = subset.Options(layout_features=["kern"], flavor="woff2", notdef_outline=True)
    font = subset.load_font(chinese_font(family), options)
    subsetter = subset.Subsetter(options)
    subsetter.populate(text=characters)
    subsetter.subset(font)
    buffer = io.BytesIO()
    subset.save_font(font, buffer, options)
    return buffer.getvalue()


def _traditional(source: Path, family: str) -> bytes:
    """The source with Taiwan's forms as its only ones, under its own name."""
    font = TTFont(source, lazy=True, recalcBBoxes=False)
    outlines = font.reader["CFF "]
    regional = _substitutions(font, "locl")
    proportional = _substitutions(font, "pwid")
    glyphs = {code: regional.get(glyph, glyph) for code, glyph in font.getBestCmap().items()}
    glyphs |= {ord(sign): proportional.get(glyphs[ord(sign)], glyphs[ord(sign)]) for sign in _PROPORTIONAL}
    tables = [table for table in font["cmap"].tables if table.isUnicode() and table.format != 14]
    for table in tables:
        table.cmap = {code: glyphs[code] for code in table.cmap}
    font["cmap"].tables = tables
    del font["GSUB"], font["DSIG"]  # what GSUB substitutes is done; a signature would no longer be true
    _rename(font, family)
    font["CFF "] = _as_read("CFF ", outlines)
    buffer = io.BytesIO()
    font.save(buffer)
    return buffer.getvalue()


def _as_read(tag: str, data: bytes) -> DefaultTable:
    """A table to be saved as it was: writing the outlines, which do not change, anew takes half a minute."""
    table = DefaultTable(tag)
    table.data = data
    return table


def _substitutions(font: TTFont, feature: str) -> dict[str, str]:
    """What a feature of Chinese as written in Taiwan puts in the place of a glyph."""
    gsub = font["GSUB"].table
    script = next(r.Script for r in gsub.ScriptList.ScriptRecord if r.ScriptTag == "hani")
    language = next(r.LangSys for r in script.LangSysRecord if r.LangSysTag == "ZHT ")
    records = [gsub.FeatureList.FeatureRecord[index] for index in language.FeatureIndex]
    lookups = [i for r in records if r.FeatureTag == feature for i in r.Feature.LookupListIndex]
    mapping: dict[str, str] = {}
    for lookup in (gsub.LookupList.Lookup[index] for index in lookups):
        for table in lookup.SubTable:
            # An extension subtable only points at the one that holds the mapping.
            mapping = getattr(table, "ExtSubTable", table).mapping | mapping
    return mapping


def _rename(font: TTFont, family: str) -> None:
    """Gives the font its own name, as the licence (OFL) wants of a changed version; keeps the licence."""
    postscript = f"{family.replace(' ', '')}-Regular"
    names = {1: family, 2: "Regular", 3: f"{_BUILD};{postscript}", 4: family, 6: postscript}
    kept = [
        r for r in font["name"].names if r.nameID in (0, 13, 14) and (r.platformID, r.langID) == (3, 0x409)
    ]
    font["name"].names = kept
    for identifier, text in names.items():
        font["name"].setName(text, identifier, 3, 1, 0x409)


def _wheel() -> Path:
    spec = importlib.util.find_spec("mplfonts")
    if spec is None or not spec.submodule_search_locations:
        raise InputError(
            "the package mplfonts, which holds the Chinese fonts, is not installed; run `make setup`."
        )
    return Path(spec.submodule_search_locations[0]) / "fonts"
