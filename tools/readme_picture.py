"""Make the pictures of the READMEs: `make report LANGUAGE=both`, then `.venv/bin/python tools/readme_picture.py`.

Above, the page in a browser: its beginning, the faces behind a cell of the confusion matrix, a saliency method; below,
pages of the PDF. It needs what `make test` installs, and Chromium.
"""

import shutil
import sys
from pathlib import Path

import pypdfium2
from PIL import Image
from playwright.sync_api import Browser, sync_playwright

BUILD = Path("report/build")
PICTURES = {
    "zh-TW": ("hw3-report.pdf", Path("docs/report.zh-TW.png")),
    "en": ("hw3-report.en.pdf", Path("docs/report.png")),
}
SAD, NEUTRAL = 4, 6
PLACES = {"top": "", "q3-matrix": f".i-{SAD}-{NEUTRAL}", "q4-methods-figure": ".f5"}
"""Where the page is looked at, and what is chosen there."""

WIDTH, GAP, BACKGROUND = 2040, 15, "#d8d3ca"


def main() -> None:
    """Write the picture of each language."""
    browser_file = next(
        filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
    )
    if browser_file is None:
        sys.exit("There is no Chromium here; install it to make the pictures.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_file, args=["--no-sandbox"])
        for language, (pdf, out) in PICTURES.items():
            rows = [screenshots(browser, language), pages(BUILD / pdf)]
            whole = joined([joined(row, across=True) for row in rows], across=False)
            whole.quantize(128).save(out, optimize=True)
            print(out)
        browser.close()


def screenshots(browser: Browser, language: str) -> list[Image.Image]:
    """The page at its places."""
    found = []
    for place, choice in PLACES.items():
        page = browser.new_page(viewport={"width": 1180, "height": 1000}, locale=language)
        page.goto((BUILD / "hw3-report.html").resolve().as_uri())
        if choice:
            figure = page.locator(f"figure[id$={place}]:visible")
            figure.scroll_into_view_if_needed()
            chosen = figure.locator(choice).first
            chosen.evaluate("element => element.click()")
            figure.evaluate("element => scrollBy(0, element.getBoundingClientRect().top - 20)")
        page.wait_for_timeout(500)
        path = BUILD / "screenshot.png"
        page.screenshot(path=path)
        found.append(Image.open(path).convert("RGB"))
        path.unlink()
        page.close()
    return found


def pages(pdf: Path, count: int = 5) -> list[Image.Image]:
    """Pages spread over the whole report, the first among them."""
    document = pypdfium2.PdfDocument(pdf)
    return [document[i * (len(document) - 4) // (count - 1)].render(scale=1.5).to_pil() for i in range(count)]


def joined(parts: list[Image.Image], *, across: bool) -> Image.Image:
    """Pictures beside or below each other, with gaps, as wide as the whole."""
    width = (WIDTH - (len(parts) + 1) * GAP) // len(parts) if across else WIDTH
    parts = [
        part.resize((width, round(part.height * width / part.width)), Image.Resampling.LANCZOS)
        for part in parts
    ]
    height = max(part.height for part in parts) + GAP if across else sum(part.height for part in parts) + GAP
    whole = Image.new("RGB", (WIDTH, height), BACKGROUND)
    x, y = (GAP, GAP) if across else (0, 0)
    for part in parts:
        whole.paste(part, (x, y))
        x, y = (x + width + GAP, y) if across else (x, y + part.height)
    return whole


if __name__ == "__main__":
    main()
