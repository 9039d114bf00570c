"""Markdown as HTML in which nothing is HTML but what Markdown makes: `<script>` in a passage is a text."""

from __future__ import annotations

import mistune


def markdown_to_html(text: str, *, deeper: int = 0) -> str:
    """A text as HTML.

    Args:
        text: Markdown, with tables and footnotes.
        deeper: How many levels headings go down.
    """
    return str(mistune.create_markdown(renderer=_Renderer(deeper), plugins=["table", "footnotes"])(text))


class _Renderer(mistune.HTMLRenderer):
    def __init__(self, deeper: int) -> None:
        super().__init__(escape=True)
        self._deeper = deeper

    def heading(self, text: str, level: int, **attrs: str) -> str:
        return str(super().heading(text, min(level + self._deeper, 6), **attrs))
