"""A real Chromium without a window, for tests of the page: `apt-get install chromium`, or CHROMIUM=/path/to/it."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def chromium() -> str:
    """The browser's file; skips the test where there is none, except in CI, which installs one."""
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("no Chromium in CI: .ci/run installs one")
        pytest.skip("no Chromium is installed here (apt-get install chromium, or CHROMIUM=/path/to/it)")
    return found


@contextmanager
def launched() -> Iterator[Browser]:
    """The browser; closed at the end."""
    with sync_playwright() as playwright:
        # Root, as in CI's container, has no sandbox.
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        yield browser
        browser.close()


class Watched:
    """A page, and what it complained of and asked for."""

    def __init__(self, browser: Browser, file: Path, **options: object) -> None:
        self.complaints: list[str] = []
        self.requests: list[str] = []
        # Without smooth scrolling: what moves by itself is not where a test last saw it.
        options = {"reduced_motion": "reduce", "locale": "zh-TW", **options}
        self.page: Page = browser.new_context(**options).new_page()
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", self._ask)
        self.page.goto(file.as_uri())

    def _ask(self, request: object) -> None:
        if not request.url.startswith("data:"):
            self.requests.append(request.url)
