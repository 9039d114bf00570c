"""Markdown as HTML in which nothing is HTML but what Markdown makes: `<script>` in a passage is a text."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import mistune
import pypandoc

CODE = (
    r"(?P<code>\\.|(?P<fence>`{3,})(?!`).*?(?<!`)(?P=fence)(?!`)"
    r"|(?P<tick>`{1,2})(?!`)(?:(?!\n\s*\n).)+?(?<!`)(?P=tick)(?!`))"
)
"""Matches code, and signs that stand for themselves: what no link, picture or citation begins in."""


def markdown_to_html(
    text: str, *, deeper: int = 0, picture: Callable[[str, str], str] = lambda words, address: address
) -> str:
    """A text as HTML.

    Args:
        text: Markdown, with tables, footnotes and mathematics between $ or $$, which becomes MathML.
        deeper: How many levels headings go down.
        picture: Gives the address of a picture, by its description and the address in the text.
    """
    renderer = _Renderer(deeper, picture)
    return str(mistune.create_markdown(renderer=renderer, plugins=["table", "footnotes", "math"])(text))


class _Renderer(mistune.HTMLRenderer):
    def __init__(self, deeper: int, picture: Callable[[str, str], str]) -> None:
        super().__init__(escape=True)
        self._deeper, self._picture = deeper, picture

    def heading(self, text: str, level: int, **attrs: str) -> str:
        return str(super().heading(text, min(level + self._deeper, 6), **attrs))

    def image(self, text: str, url: str, title: str | None = None) -> str:
        return str(super().image(text, self._picture(text, url)))

    def inline_math(self, text: str) -> str:
        return _mathml(f"${text.strip()}$")

    def block_math(self, text: str) -> str:
        return f'<div class="equation">{_mathml(f"$${text.strip()}$$")}</div>\n'


@cache
def _mathml(tex: str) -> str:
    """TeX between dollar signs as MathML, which browsers and pandoc read."""
    page = pypandoc.convert_text(tex, "html", format="markdown", extra_args=["--mathml", "--wrap=none"])
    return str(page).strip().removeprefix("<p>").removesuffix("</p>")
