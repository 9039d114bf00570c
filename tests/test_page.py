"""The page in a real browser: what readers can do with it, with eyes, keyboard, screen reader, or scripts off."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import axe_playwright_python
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from browser import Watched, chromium, launched
from matplotlib.ticker import PercentFormatter
from playwright.sync_api import Browser, Page, expect
from report_project import TITLE, Project

from fer_lib.emotions import EMOTION_NAMES
from fer_lib.publish.answer import Answer
from fer_lib.publish.assemble import assemble
from fer_lib.publish.explore import Cells, Frames
from fer_lib.publish.prose import report_folder
from fer_lib.publish.render import write_page

WORDS = """
## title
{title}

## question
{title}?

## text
{title}：[a](#curves)、[b](#matrix)

## curves
Curves

## curves.alt
Two curves

## matrix
Matrix

## matrix.alt
A matrix

## ascent
Ascent

## ascent.alt
Four filters

## table
Table
"""
RUN = "cnn-0123456789ab"


def show(answer: Answer) -> None:
    """All that a page can hold."""
    rng = np.random.default_rng(0)
    names = EMOTION_NAMES[answer.language]
    answer.text("question", title="x")
    answer.text("text", title="x")
    answer.source(RUN)
    figure, ax = plt.subplots(figsize=(6, 2.4))
    for name, values in (("training", [0.2, 0.4, 0.6]), ("validation", [0.25, 0.35, 0.45])):
        ax.plot([1, 2, 3], values, label=name)
    ax.set_xlabel("Epoch")
    ax.yaxis.set_major_formatter(PercentFormatter(1))
    answer.figure(figure, "curves")
    labels = np.arange(70) % 7
    probabilities = rng.dirichlet(np.ones(7), 70)
    matrix = np.zeros((7, 7), int)
    np.add.at(matrix, (labels, probabilities.argmax(axis=1)), 1)
    faces = rng.integers(0, 255, (70, 48, 48)).astype(np.uint8)
    cells = Cells(names, matrix, faces, labels, probabilities)
    answer.figure(plt.figure(figsize=(4, 4)), "matrix", explore=cells)
    frames = Frames(
        ("0", "10", "190"),
        rng.integers(0, 255, (3, 4, 48, 48)).astype(np.uint8),
        "slider",
        "Step",
        captions=[[f"{step}.{i}" for i in range(4)] for step in range(3)],
    )
    answer.figure(plt.figure(figsize=(4, 1)), "ascent", explore=frames)
    answer.table(
        pd.DataFrame({"name": ["b", "c", "a"], "share": [0.5, 0.125, 0.25]}),
        "table",
        formats={"share": ".1%"},
        sortable=True,
    )
    answer.facts(labels=labels, predicted=probabilities.argmax(axis=1), probabilities=probabilities)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page in two languages."""
    chromium()  # skips before the page is made
    project = Project(tmp_path_factory.mktemp("page"))
    reports = []
    for language in ("zh-TW", "en"):
        for question in ("q1", "q2"):
            words = WORDS.replace("{title}", f"{language} {question}")
            project.write(f"{question}.md", words, language=language)
        words = (report_folder() / "text" / language / "report.md").read_text(encoding="utf-8")
        words = words[: words.index("## abstract")] + "## summary.q1\nOne\n\n## provenance\nRuns\n"
        project.write("report.md", words, language=language)
        notebooks = [
            project.notebook("q1", show, language=language),
            project.notebook("q2", lambda answer: answer.text("text", title="x"), language=language),
        ]
        prefix = "" if language == "zh-TW" else "en-"
        reports.append(
            assemble(notebooks, project.texts, language, TITLE, prefix=prefix, commands=["make x"])
        )
    write_page(reports, project.root / "report.html")
    return project.root / "report.html"


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


@pytest.mark.parametrize(("language", "scheme"), [("zh-TW", "light"), ("en", "dark")])
def test_axe_finds_nothing_to_complain_of(opened: Opened, scheme: str, language: str) -> None:
    page = opened(color_scheme=scheme)
    if language == "en":
        page.get_by_role("link", name="English").click()
    page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    axe = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
    page.evaluate(axe)
    tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
    found = page.evaluate("(tags) => axe.run(document, { runOnly: tags })", tags)
    assert found["passes"]
    assert [
        (v["id"], v["impact"], [n["html"][:120] for n in v["nodes"][:3]]) for v in found["violations"]
    ] == []


@pytest.mark.parametrize("width", [375, 768, 1280])
def test_nothing_scrolls_sideways(opened: Opened, width: int) -> None:
    page = opened(viewport={"width": width, "height": 800})
    page.evaluate("document.querySelectorAll('details:not(.toc)').forEach((d) => { d.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") == width


def test_a_cell_opens_its_faces_with_their_probabilities(opened: Opened, file: Path) -> None:
    page = opened()
    notes = json.loads((file.parent / "zh-TW" / "q1.ipynb").read_text())["cells"][2]["outputs"]
    facts = notes[-1]["metadata"]["fer_lib"]["facts"]
    pairs = list(zip(facts["labels"], facts["predicted"], strict=True))
    true, predicted = next((t, p) for t, p in pairs if t != p)
    mine = [p for p, pair in zip(facts["probabilities"], pairs, strict=True) if pair == (true, predicted)]
    surest = max(mine, key=max)
    page.locator(f'a[href="#q1-matrix-{true}-{predicted}"]').click()
    dialog = page.get_by_role("dialog")
    names = EMOTION_NAMES["zh-TW"]
    expect(dialog.get_by_role("heading")).to_have_text(f"真實 {names[true]} → 預測 {names[predicted]}")
    cards = dialog.locator(".card")
    assert cards.count() == min(len(mine), 8)
    said = cards.first.locator("li").all_inner_texts()
    wanted = [f"{name} {round(100 * p)}%" for name, p in zip(names, surest, strict=True)]
    assert [" ".join(text.split()) for text in said] == wanted
    assert page.evaluate(
        "getComputedStyle(document.querySelector('dialog .face')).backgroundImage"
    ).startswith('url("data:image/webp')
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    focused = page.evaluate("document.activeElement.getAttribute('href')")
    assert focused == f"#q1-matrix-{true}-{predicted}"


def test_the_slider_goes_through_the_steps(opened: Opened) -> None:
    page = opened()
    slider = page.locator("#q1-ascent input[type=range]")
    where = "getComputedStyle(document.querySelector('#q1-ascent .pixels')).backgroundPositionY"
    before = page.evaluate(where)
    slider.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert slider.get_attribute("aria-valuetext") == "190"
    assert (before, page.evaluate(where)) == ("0%", "100%")
    assert page.locator("#q1-ascent .notes").first.inner_text() == "2.0"


def test_a_curve_says_its_values_to_pointer_and_keyboard(opened: Opened) -> None:
    page = opened()
    values = page.locator("#q1-curves .values")
    expect(values).to_be_hidden()
    sheet = page.locator("#q1-curves .sheet")
    sheet.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(values).to_have_text("Epoch 2training 40.0%validation 35.0%")
    expect(page.locator("#q1-curves [aria-live]")).to_have_text(
        "Epoch 2；training 40.0%；validation 35.0%", use_inner_text=False
    )
    picture = page.locator("#q1-curves img")
    box = picture.bounding_box()
    assert box is not None
    picture.hover(position={"x": 0.95 * box["width"], "y": 0.5 * box["height"]})
    expect(values).to_contain_text("Epoch 3")
    page.mouse.move(0, 0)
    expect(values).to_be_hidden()


def test_a_figure_opens_large_and_closes(opened: Opened) -> None:
    page = opened()
    page.locator("#q1-curves .sheet").focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("img", name="Two curves")).to_be_visible()
    small, large = (page.locator(s).bounding_box() for s in ("#q1-curves img", "dialog img"))
    assert small is not None
    assert large is not None
    assert large["width"] > 1.2 * small["width"]
    dialog.get_by_role("button", name="關閉").click()
    expect(dialog).to_be_hidden()


def test_a_table_is_sorted_up_down_and_back(opened: Opened) -> None:
    page = opened()
    rows = page.locator("#q1-table tbody th")
    button = page.locator("#q1-table").get_by_role("button", name="share")
    seen = [rows.all_inner_texts()]
    for _ in range(3):
        button.click()
        seen.append(rows.all_inner_texts())
    assert seen == [["b", "c", "a"], ["c", "a", "b"], ["b", "a", "c"], ["b", "c", "a"]]


def test_the_contents_follow_the_reader(opened: Opened) -> None:
    page = opened(viewport={"width": 1280, "height": 700}, reduced_motion="reduce")
    current = page.locator("nav a[aria-current]:visible")
    expect(current).to_have_text("摘要")
    page.locator("nav a:visible", has_text="zh-TW q2").click()
    expect(current).to_have_text("zh-TW q2")
    assert page.locator("nav:visible").bounding_box()["y"] >= 0


def test_one_language_is_seen_at_a_time_and_links_turn_to_theirs(opened: Opened) -> None:
    page = opened()
    expect(page.get_by_role("heading", name="zh-TW q1")).to_be_visible()
    expect(page.locator("#en-q1")).to_be_hidden()
    page.get_by_role("link", name="English").click()
    expect(page.get_by_role("heading", name="en q1")).to_be_visible()
    expect(page.locator("#q1")).to_be_hidden()
    assert page.evaluate("document.documentElement.lang") == "en"
    assert page.locator("[role=main]:visible").count() == 1
    page.evaluate("location.hash = '#q1-matrix'")
    expect(page.locator("#q1")).to_be_visible()


def test_colours_are_chosen_and_remembered(opened: Opened) -> None:
    page = opened(color_scheme="light")
    paper = "getComputedStyle(document.documentElement).backgroundColor"
    light = page.evaluate(paper)
    button = page.locator(".theme:visible")
    button.click()
    button.click()
    expect(button).to_have_text("配色：深色")
    dark = page.evaluate(paper)
    assert light != dark
    page.reload()
    assert page.evaluate(paper) == dark


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


def test_everything_can_be_read_with_scripts_off(opened: Opened) -> None:
    page = opened(java_script_enabled=False)
    for identifier in ("q1", "en-q1"):
        expect(page.locator(f"#{identifier}")).to_be_visible()
    expect(page.locator("nav a").first).to_be_visible()
    page.locator("#q1-ascent label", has_text="190").click()
    assert page.locator("#q1-ascent .notes").first.inner_text() == "2.0"
    link = page.locator("#q1-matrix td a").first
    gallery = page.locator(str(link.get_attribute("href")))
    page.locator("#q1-matrix-faces > summary").click()
    expect(gallery.locator(".card").first).to_be_visible()


def test_printed_from_the_browser_it_is_a4_without_what_paper_cannot_do(opened: Opened) -> None:
    page = opened()
    page.emulate_media(media="print")
    for selector in ("nav", ".code", ".control", ".theme"):
        expect(page.locator(selector).first).to_be_hidden()
    expect(page.locator("#q1-matrix table")).to_be_visible()
    # Pictures that are backgrounds are printed only where this is asked for.
    asked = "getComputedStyle(document.querySelector('#q1-ascent .pixels')).printColorAdjust"
    assert page.evaluate(asked) == "exact"
    assert page.pdf(prefer_css_page_size=True).startswith(b"%PDF")


def test_figures_and_tables_name_their_run(opened: Opened) -> None:
    page = opened()
    expect(page.locator("#q1-curves figcaption .runs code")).to_have_text(RUN)
    expect(page.locator("#q1-table caption .runs code")).to_have_text(RUN)


def test_the_script_and_styles_are_light() -> None:
    templates = report_folder() / "templates"
    assert sum((templates / name).stat().st_size for name in ("page.js", "page.css")) < 100_000
