"""The page in a real browser: what readers can do with it, with eyes, keyboard, screen reader, or scripts off."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import axe_playwright_python
import pytest
from browser import Watched, chromium, launched
from playwright.sync_api import Browser, Page, expect
from report_project import executed, merged, page

from fer_lib.labels import label_file

RUN = "cnn-0123456789ab"
CHINESE = label_file("zh-TW")["page"]
TEXT = """%%prose
# {{ question }} · {{ title }}

> {{ title }}?

**Accuracy** of the model: [curves](#curves), [matrix](#matrix), `code`.

## First section

Text

## Second section

Text"""
CURVES = """
source(RUN)
made, axes = plt.subplots(1, 2, figsize=(6.5, 2.4))
for name, values in (("training", [0.2, 0.4, 0.6]), ("validation", [0.25, 0.35, 0.45])):
    axes[0].plot([1, 2, 3], values, label=name)
axes[1].plot(np.linspace(0, 1, 25), np.linspace(1, 0, 25), label="RISE")
axes[0].set_xlabel("Epoch")
axes[1].set_xlabel("Removed")
axes[0].yaxis.set_major_formatter(PercentFormatter(1))
axes[1].xaxis.set_major_formatter(PercentFormatter(1))
figure(made, "curves", caption="Curves", alt="Curves of two kinds")
"""
# True class and answer of face i are i % 7 and i % 5.
MATRIX = """
rng = np.random.default_rng(0)
labels, predicted = np.arange(70) % 7, np.arange(70) % 5
probabilities = (rng.dirichlet(np.ones(7), 70) + 9 * np.eye(7)[predicted]) / 10
matrix = np.zeros((7, 7), int)
np.add.at(matrix, (labels, predicted), 1)
faces = rng.integers(0, 255, (70, 48, 48)).astype(np.uint8)
cells = Cells(EMOTION_NAMES[LANGUAGE], matrix, faces, labels, probabilities)
figure(lines(), "matrix", caption="A matrix", alt="Shares of classes", interactive=cells)
"""
FRAMES = """
steps = np.random.default_rng(0).integers(0, 255, (3, 8, 48, 48)).astype(np.uint8)
notes = [[f"{step}.{i}" for i in range(8)] for step in range(3)]
ascent = Frames(["0", "10", "190"], steps, "slider", "Step", captions=notes)
figure(lines(), "ascent", caption="Ascent", alt="Eight filters", interactive=ascent, raster=True)
methods = Frames(["Gradient", "RISE"], steps[:2], "switch", "Method")
figure(lines(), "methods", caption="Methods", alt="Eight maps", interactive=methods, raster=True)
"""
PICTURE = """
made, axes = plt.subplots(figsize=(6, 2))
axes.imshow(np.eye(3))
figure(made, "picture", caption="A picture", alt="Three squares", raster=True)
"""
TABLES = """
frame = pd.DataFrame({"name": ["b", "c", "a"], "share": [0.5, 0.125, 0.25]})
table(frame, "scores", caption="Scores", formats={"share": ".1%"}, sortable=True)
print("A LINE OF MY OWN", "x" * 200)
"""
RUNS = """
wide = pd.DataFrame({"run": [RUN], **{f"a_long_name_{i}": [i] for i in range(9)}})
table(wide, "runs", caption="Runs")
"""


def notebooks(language: str) -> dict[str, Any]:
    """Two questions with all that a page can hold."""
    from matplotlib.ticker import PercentFormatter

    from fer_lib.emotions import EMOTION_NAMES

    known = {
        "language": language,
        "RUN": RUN,
        "EMOTION_NAMES": EMOTION_NAMES,
        "PercentFormatter": PercentFormatter,
    }
    words = {"zh-TW": ("第 {} 題", "中文"), "en": ("Question {}", "English")}[language]
    first, second = ({"question": words[0].format(n), "title": f"{words[1]} {n}"} for n in (1, 2))
    return {
        "q1": executed(
            ("EPOCHS = 3", "parameters"), TEXT, CURVES, MATRIX, FRAMES, PICTURE, TABLES, **known, **first
        ),
        "q2": executed(TEXT.replace("[curves](#curves), [matrix](#matrix), ", ""), RUNS, **known, **second),
    }


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page in two languages."""
    chromium()  # skips before the page is made
    folder = tmp_path_factory.mktemp("page")
    both = {language: notebooks(language) for language in ("zh-TW", "en")}
    path = folder / "report.html"
    path.write_text(page(merged(folder, both)), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def browser(file: Path) -> Iterator[Browser]:
    with launched() as browser:
        yield browser


Opened = Callable[..., Page]


@pytest.fixture
def opened(browser: Browser, file: Path) -> Iterator[Opened]:
    """Opens the page; at the end nothing may have been complained of, or asked for."""
    watched: list[Watched] = []

    def open_page(**options: object) -> Page:
        watched.append(Watched(browser, file, **options))
        return watched[-1].page

    yield open_page
    for each in watched:
        each.page.context.close()
        assert each.complaints == []
        assert set(each.requests) == {file.as_uri()}


def opened_up(page: Page) -> Page:
    """The page with all code unfolded and a gallery open."""
    page.evaluate("document.querySelectorAll('details:not(.toc)').forEach((d) => { d.open = true; })")
    page.evaluate("document.querySelectorAll('.fer-cells .i-0-0').forEach((i) => { i.checked = true; })")
    return page


def colors(page: Page) -> str:
    """What the page is painted in."""
    return str(page.evaluate("getComputedStyle(document.documentElement).backgroundColor"))


PHONE = {"viewport": {"width": 375, "height": 800}, "has_touch": True, "is_mobile": True}


# For everybody


@pytest.mark.parametrize(
    "options",
    [
        {"locale": "zh-TW", "color_scheme": "light"},
        {"locale": "en", "color_scheme": "dark"},
        {"locale": "en", "color_scheme": "light", **PHONE},
        {"locale": "zh-TW", "color_scheme": "dark", **PHONE},
    ],
    ids=["light", "dark", "phone", "dark phone"],
)
def test_axe_finds_nothing_to_complain_of(opened: Opened, options: dict[str, Any]) -> None:
    page = opened_up(opened(**options))
    page.evaluate((Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8"))
    assert complaints(page) == []
    page.locator(".sheet:visible").first.press("Enter")
    page.locator("dialog .sheet").press("ArrowRight")
    assert complaints(page) == []


def complaints(page: Page) -> list[Any]:
    """What axe finds."""
    tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
    found = page.evaluate("(tags) => axe.run(document, { runOnly: tags })", tags)
    assert found["passes"]
    return [(v["id"], v["impact"], [n["html"][:120] for n in v["nodes"][:3]]) for v in found["violations"]]


@pytest.mark.parametrize("width", [320, 375, 768, 1280])
def test_nothing_scrolls_sideways(opened: Opened, width: int) -> None:
    page = opened_up(opened(locale="en", viewport={"width": width, "height": 800}))
    assert page.evaluate("document.documentElement.scrollWidth") == width
    matrix = page.locator("#en-matrix table")
    assert matrix.evaluate("(e) => e.scrollWidth <= e.parentElement.clientWidth")


def test_the_keyboard_reaches_all_there_is_to_do(opened: Opened) -> None:
    page = opened(viewport={"width": 1280, "height": 900})
    wanted = page.evaluate(
        """() => [...document.querySelectorAll('a[href], button, input, summary, [tabindex="0"]')]
        .filter((e) => e.checkVisibility() && !(e.type === 'radio')).map((e) => e.outerHTML.slice(0, 200))"""
    )
    reached = []
    for _ in range(len(wanted) + 5):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.outerHTML.slice(0, 200)"))
    assert [element for element in wanted if element not in reached] == []
    assert sum('class="i-' in element for element in reached) == 1  # a matrix is one stop, not 49


def test_everything_can_be_read_with_scripts_off(opened: Opened) -> None:
    page = opened(java_script_enabled=False)
    for identifier in ("q1", "en-q1"):
        expect(page.locator(f"#{identifier}")).to_be_visible()
    expect(page.locator("nav a").first).to_be_visible()
    page.locator("#ascent label", has_text="190").click()
    assert page.locator("#ascent .notes").first.inner_text() == "2.0"
    page.locator("#matrix label").first.click()
    expect(page.locator("#matrix .card").first).to_be_visible()


def test_printed_from_the_browser_it_is_a4_without_what_paper_cannot_do(opened: Opened) -> None:
    page = opened(color_scheme="dark")
    page.emulate_media(media="print")
    for selector in ("nav", ".code", ".control", ".hint"):
        expect(page.locator(selector).first).to_be_hidden()
    expect(page.locator("#matrix table")).to_be_visible()
    # Pictures that are backgrounds are printed only where this is asked for.
    for selector in ("#ascent .pixels", "#matrix tbody td"):
        asked = f"getComputedStyle(document.querySelector('{selector}')).printColorAdjust"
        assert page.evaluate(asked) == "exact"
    assert page.evaluate("getComputedStyle(document.querySelector('.plot img')).filter") == "none"
    assert page.pdf(prefer_css_page_size=True).startswith(b"%PDF")


def test_the_script_and_styles_are_light() -> None:
    templates = Path(__file__).parents[1] / "report" / "templates"
    files = [*templates.glob("hw3/page.*"), *templates.glob("outputs/*.[cj]s*")]
    assert sum(path.stat().st_size for path in files) < 100_000


# Parts to look into


def test_a_cell_shows_its_faces_with_their_probabilities_and_arrow_keys_go_on(opened: Opened) -> None:
    page = opened(locale="en")
    galleries = page.locator("#en-matrix .gallery:visible")
    expect(galleries).to_have_count(0)
    page.locator("#en-matrix label").first.click()
    expect(galleries.locator(".what")).to_have_text("True Angry → Predicted Angry 2 of 2, the surest first")
    said = galleries.locator(".card").first.locator("li").all_inner_texts()
    assert len(said) == 7 and re.fullmatch(r"Angry\s+9\d%", said[0])
    background = "getComputedStyle(document.querySelector('.face')).backgroundImage"
    assert page.evaluate(background).startswith('url("data:image/webp')
    page.keyboard.press("ArrowRight")
    expect(galleries.locator("strong")).to_have_text("True Angry → Predicted Disgust")


def test_a_hint_says_that_a_cell_can_be_chosen(opened: Opened) -> None:
    expect(opened().locator("#matrix .hint")).to_have_text(CHINESE["galleries"])


def test_the_slider_goes_through_the_steps(opened: Opened) -> None:
    page = opened()
    slider = page.locator("#ascent input[type=range]")
    where = "getComputedStyle(document.querySelector('#ascent .pixels')).backgroundPositionY"
    before = page.evaluate(where)
    slider.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert slider.get_attribute("aria-valuetext") == "190"
    assert page.locator("#ascent .notes").first.inner_text() == "2.0"
    # A little inside its part of the sheet, so that no neighbor shines through.
    first, last = float(before.rstrip("%")), float(page.evaluate(where).rstrip("%"))
    assert 0 < first < 1 < 99 < last < 100


def test_the_switch_changes_all_pictures(opened: Opened) -> None:
    page = opened()
    where = "getComputedStyle(document.querySelector('#methods .pixels:last-child')).backgroundPositionY"
    before = page.evaluate(where)
    page.get_by_role("radio", name="RISE").check()
    assert page.evaluate(where) != before


# Figures and tables


def test_a_curve_says_its_values_to_pointer_and_keyboard_and_covers_nothing(opened: Opened) -> None:
    page = opened()
    values, sheet = page.locator("#curves .values"), page.locator("#curves .sheet")
    expect(values).to_be_hidden()
    sheet.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(values).to_have_text("Epoch 2training 40.0%validation 35.0%")
    expect(page.locator("#curves [aria-live]")).to_have_text(
        "Epoch 2；training 40.0%；validation 35.0%", use_inner_text=False
    )
    box = page.locator("#curves img").bounding_box()
    assert box is not None
    page.locator("#curves img").hover(position={"x": 0.95 * box["width"], "y": 0.5 * box["height"]})
    expect(values).to_contain_text(re.compile(r"^Removed 9\d(\.\d)?%RISE 0\.\d+$"))
    assert values.bounding_box()["y"] >= box["y"] + box["height"]
    page.mouse.move(0, 0)
    expect(values).to_be_hidden()


def test_a_figure_opens_large_can_be_read_off_there_and_closes(opened: Opened) -> None:
    page = opened()
    page.locator("#curves .sheet").focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("img", name="Curves of two kinds")).to_be_visible()
    expect(dialog.locator("p")).to_have_text("圖\N{NO-BREAK SPACE}1 Curves")
    small, large = (page.locator(s).bounding_box() for s in ("#curves img", "dialog img"))
    assert large["width"] > 1.2 * small["width"]
    dialog.locator(".sheet").press("ArrowRight")
    expect(dialog.locator(".values")).to_contain_text("Epoch 1")
    dialog.get_by_role("button", name=CHINESE["close"]).click()
    expect(dialog).to_be_hidden()
    assert page.evaluate("document.activeElement.closest('figure').id") == "curves"


def test_on_a_phone_a_chart_moves_in_its_frame_which_fades_where_it_goes_on(opened: Opened) -> None:
    page = opened(**PHONE)
    sheet = page.locator("#curves .sheet")
    assert page.locator("#picture img").bounding_box()["width"] < 345
    assert page.locator("#curves img").bounding_box()["width"] > 500
    expect(sheet).to_have_css("mask-image", re.compile("gradient"))
    sheet.evaluate("(e) => { e.scrollLeft = 1000; }")
    expect(sheet).to_have_css("mask-image", "none")


def test_on_a_phone_a_tap_opens_a_figure_large_and_reads_it_off_there(opened: Opened) -> None:
    page = opened(**PHONE)
    page.locator("#curves img").tap()
    large = page.locator("dialog img")
    assert large.bounding_box()["width"] > 650
    large.tap(position={"x": 150, "y": 120})
    expect(page.locator("dialog .values")).to_contain_text("Epoch")


def test_a_table_is_sorted_up_down_and_back(opened: Opened) -> None:
    page = opened()
    rows = page.locator("#scores tbody th")
    button = page.locator("#scores").get_by_role("button", name="share")
    seen = [rows.all_inner_texts()]
    for _ in range(3):
        button.click()
        seen.append(rows.all_inner_texts())
    assert seen == [["b", "c", "a"], ["c", "a", "b"], ["b", "a", "c"], ["b", "c", "a"]]


def test_a_figure_and_a_table_are_saved(opened: Opened) -> None:
    page = opened()
    saved = {}
    for link in page.locator(".save:visible").all():
        with page.expect_download() as download:
            link.click()
        path = Path(download.value.path())
        saved[download.value.suggested_filename] = path.read_bytes()
    assert saved["scores.csv"].decode("utf-8-sig").splitlines()[0] == ",".join(
        page.locator("#scores thead th button").all_text_contents()
    )
    assert len(saved["scores.csv"].splitlines()) == 1 + page.locator("#scores tbody tr").count()
    kinds = {name.rpartition(".")[2]: content[:5] for name, content in saved.items()}
    assert kinds["svg"] in (b"<?xml", b"<svg ") and kinds["png"].startswith(b"\x89PNG")


def test_on_a_phone_a_table_that_is_too_wide_is_a_list_of_its_rows(opened: Opened) -> None:
    page = opened(**PHONE)
    table = page.locator("#runs.stacked")
    table.wait_for()
    assert table.evaluate("table => table.offsetWidth <= innerWidth")
    first = table.locator("tbody tr").first.locator("td").first
    head = first.evaluate("cell => getComputedStyle(cell, '::before').content")
    assert head.strip('"') == first.get_attribute("data-head") != ""


def test_figures_and_tables_name_their_run_and_lead_to_it(opened: Opened) -> None:
    page = opened()
    expect(page.locator("#scores caption .runs code")).to_have_text(RUN)
    page.locator("#curves figcaption .runs a").click()
    expect(page.locator("#runs tbody tr")).to_be_in_viewport()
    assert page.evaluate("location.hash") == f"#{RUN}"


def test_code_is_copied(opened: Opened) -> None:
    page = opened(permissions=["clipboard-read", "clipboard-write"])
    page.locator("#q1 ~ .code > summary").click()
    cell = page.locator(".cell:visible", has_text="EPOCHS = 3")
    cell.hover()
    cell.get_by_role("button", name=CHINESE["copy"]).click()
    expect(cell.get_by_role("button")).to_have_text(CHINESE["copied"])
    assert page.evaluate("navigator.clipboard.readText()") == "EPOCHS = 3"


# Around the page


def test_the_contents_follow_the_reader_from_section_to_section(opened: Opened) -> None:
    page = opened(viewport={"width": 1280, "height": 700})
    current = page.locator(".toc a[aria-current]:visible")
    expect(current).to_have_text("第 1 題 中文 1")
    expect(page.locator(".toc ol ol a:visible")).to_have_text(["First section", "Second section"])
    page.locator(".toc a:visible", has_text="中文 2").click()
    expect(current).to_have_text("第 2 題 中文 2")
    page.locator(".toc a:visible", has_text="Second section").click()
    expect(current).to_have_text("Second section")
    assert page.locator("nav:visible").bounding_box()["y"] >= 0
    page.reload()
    expect(current).to_have_text("Second section")


@pytest.mark.parametrize(
    ("locale", "language"), [("zh-TW", "zh-TW"), ("zh-HK", "zh-TW"), ("en-GB", "en"), ("fr", "zh-TW")]
)
def test_the_page_opens_in_the_language_of_the_browser_where_it_has_it(
    opened: Opened, locale: str, language: str
) -> None:
    page = opened(locale=locale)
    assert page.evaluate("document.documentElement.lang") == language
    expect(page.locator(".report:visible")).to_have_attribute("lang", language)
    assert page.locator("[role=main]:visible").count() == 1


@pytest.mark.parametrize("width", [375, 1280])
def test_the_switch_of_languages_keeps_the_place_and_is_remembered(opened: Opened, width: int) -> None:
    page = opened(viewport={"width": width, "height": 700})
    page.evaluate("scrollTo(0, document.querySelector('#methods').getBoundingClientRect().top - 100)")
    before = page.locator("#methods").bounding_box()["y"]
    page.get_by_role("link", name="English").press("Enter")
    expect(page.locator("#methods")).to_be_hidden()
    assert page.locator("#en-methods").bounding_box()["y"] == pytest.approx(before, abs=1)
    assert page.evaluate("document.activeElement.closest('.languages') !== null")
    page.reload()
    assert page.evaluate("document.documentElement.lang") == "en"
    assert page.title().endswith("Facial expression recognition")


def test_a_link_into_the_other_language_turns_to_it(opened: Opened) -> None:
    page = opened()
    page.evaluate("location.hash = '#en-matrix'")
    expect(page.locator("#en-matrix")).to_be_in_viewport()
    expect(page.locator("#matrix")).to_be_hidden()


def test_colors_are_chosen_and_remembered(opened: Opened) -> None:
    page = opened(color_scheme="light")
    light = colors(page)
    cell = "getComputedStyle(document.querySelector('#matrix tbody td:last-child')).backgroundColor"
    light_cell = page.evaluate(cell)
    button = page.locator(".theme:visible")
    button.click()
    button.click()
    expect(button).to_have_text(CHINESE["theme_dark"])
    dark = colors(page)
    assert light != dark
    brightness = [sum(map(int, re.findall(r"\d+", color)[:3])) for color in (page.evaluate(cell), light_cell)]
    assert brightness[0] < 200 < 700 < brightness[1]
    assert "invert" in page.evaluate("getComputedStyle(document.querySelector('.plot img')).filter")
    page.reload()
    assert colors(page) == dark
