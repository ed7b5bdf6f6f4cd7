"""The Chromium of this machine, and how a page in it is judged: by axe (WCAG AA) and by its width.

Axe is half a megabyte of script and loading a page in Chromium is dear, so each page is loaded
once and looked at four times: narrow and wide, in light and in dark.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

#: As root it has no sandbox; of its own accord it would look for its maker's hosts. A script that
#: runs for a moment is not worth translating: V8 would do it in threads beside, for each page anew.
OPTIONS = (
    *("--no-sandbox", "--disable-gpu", "--disable-background-networking"),
    "--js-flags=--no-opt,--no-maglev",
)
#: Chromium without all that a window needs starts and loads for two thirds of the price.
PROGRAMS = ("chromium-headless-shell", "chromium", "google-chrome")
#: WCAG 2.2 AA and what axe holds for good practice beside it.
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
SCHEMES = ("light", "dark")
#: What axe finds, and whether the page is wider than its window. A theme is colours: in the second
#: one only the rules about them are asked again.
_FAULTS = """async ([tags, isSecond]) => {
    document.querySelectorAll('details').forEach((one) => { one.open = true; });
    const colours = axe.getRules(tags).filter((one) => one.tags.includes('cat.color'));
    const asked = isSecond ? { type: 'rule', values: colours.map((one) => one.ruleId) } : tags;
    const { violations } = await axe.run({ runOnly: asked, resultTypes: ['violations'] });
    const found = violations.flatMap((one) => one.nodes.map((node) => `${one.id}: ${node.html}`));
    const root = document.documentElement;
    if (root.scrollWidth > root.clientWidth) found.push(`${root.scrollWidth} px wide`);
    return found;
}"""

#: Of ten things that axe does, three are to read the same few colours again: they are remembered.
_REMEMBERING = """(() => {
    const { prototype } = axe.commons.color.Color, parse = prototype.parseString, known = new Map();
    prototype.parseString = function (text) {
        if (!known.has(text)) {
            parse.call(this, text);
            known.set(text, [this.r, this.g, this.b, this.alpha]);
        }
        [this.r, this.g, this.b, this.alpha] = known.get(text);
        return this;
    };
})();"""


def program() -> str | None:
    """The Chromium of this machine."""
    return next((found for name in PROGRAMS if (found := shutil.which(name))), None)


@contextmanager
def running() -> Iterator[Browser]:
    """It runs, without a window."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program(), args=list(OPTIONS))
        yield browser
        browser.close()


def judging(page: Page) -> Page:
    """The same, able to judge what it shows from now on.

    Axe comes with each document: it is read once, and no policy of a page refuses it.
    """
    page.add_init_script(f"{Axe().axe_script};{_REMEMBERING}")
    page.goto("about:blank")
    return page


def views(page: Page, schemes: Iterable[str], *widths: int) -> Iterator[str]:
    """It is looked at in each theme and at each width; the name of each view."""
    height = page.viewport_size["height"] if page.viewport_size else 740
    for scheme in schemes:
        page.emulate_media(color_scheme=_scheme(scheme))
        for width in widths:
            if page.viewport_size != {"width": width, "height": height}:
                page.set_viewport_size({"width": width, "height": height})
            yield f"{scheme}, {width}"
        widths = widths[::-1]


def faults(page: Page, *widths: int, also: str = "() => []") -> list[str]:
    """What is wrong with what it shows, at these widths, in both themes.

    also: a function of script that finds more in each of these views.
    """
    asked = f"async (asked) => [...await ({_FAULTS})(asked), ...({also})()]"
    return [
        f"{view}: {one}"
        for view in views(page, SCHEMES, *widths)
        for one in page.evaluate(asked, [RULES, view.startswith(SCHEMES[1])])
    ]


def _scheme(name: str) -> Any:
    return name
