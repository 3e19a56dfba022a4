"""One notebook in JupyterLab, used as a person uses it: by keyboard."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from selenium.common.exceptions import TimeoutException
from selenium.webdriver import ActionChains, Chrome, Keys
from selenium.webdriver.support.ui import WebDriverWait

OPEN_SECONDS = 90
RUN_SECONDS = 120
CELL_SECONDS = 240
STEP_SECONDS = 30
TABS = 60
"""How often Tab is pressed to reach a control before it counts as out of reach."""

SCREEN_WIDTH = 1280
TALLEST = 16_000
"""Chromium draws no taller window."""

MARGIN = 60

# The page as JupyterLab knows it; cells outside the window are not in the document.
_CELLS = """
const panel = window.jupyterapp.shell.currentWidget;
return panel.content.model.cells ? Array.from(panel.content.model.cells, c => c.toJSON()) : [];
"""
_STATUS = """
const panel = window.jupyterapp && window.jupyterapp.shell.currentWidget;
const kernel = panel && panel.sessionContext && panel.sessionContext.session && panel.sessionContext.session.kernel;
return kernel && panel.context.isReady && panel.content.model.cells.length ? kernel.status : 'none';
"""

_BELOW = "window.jupyterapp.shell.currentWidget.content.widgets[{index}].node.querySelector('.jp-OutputArea')"
_BOTTOM = """
document.querySelector('.jp-NotebookPanel .jp-WindowedPanel-outer').scrollTop = 0;
return Math.ceil(document.querySelector('.jp-Notebook-footer').getBoundingClientRect().bottom);
"""
_FOCUSED = "document.activeElement.type == 'radio' && document.activeElement.closest('label').textContent"


class Page:
    """The page of one notebook.

    Args:
        driver: the browser.
        url: address of the notebook in JupyterLab, with its token.
    """

    def __init__(self, driver: Chrome, url: str) -> None:
        self.driver = driver
        driver.get(url)
        self.wait("the notebook is open and its kernel idle", lambda: self.status() == "idle", OPEN_SECONDS)
        self.at_rest()

    def wait(self, what: str, condition: Callable[[], Any], seconds: float) -> Any:
        """Wait until a condition holds; fail with what was waited for."""
        try:
            return WebDriverWait(self.driver, seconds, poll_frequency=0.2).until(lambda _: condition())
        except TimeoutException:
            raise AssertionError(f"after {seconds:.0f} s not yet: {what}; kernel {self.status()}") from None

    def status(self) -> str:
        """Return what the kernel does: idle, busy, … or none."""
        return str(self.driver.execute_script(_STATUS))

    def cells(self) -> list[dict[str, Any]]:
        """Return all cells as they would be saved."""
        return list(self.driver.execute_script(_CELLS))

    def code_cells(self) -> list[dict[str, Any]]:
        """Return the code cells that have something to run."""
        return [cell for cell in self.cells() if cell["cell_type"] == "code" and source_of(cell).strip()]

    def errors(self) -> list[str]:
        """Return the errors that stand in the outputs."""
        return [
            f"{source_of(cell).splitlines()[0]}: {output['ename']}: {output['evalue']}"
            for cell in self.code_cells()
            for output in cell["outputs"]
            if output["output_type"] == "error"
        ]

    def at_rest(self) -> None:
        """Give the keyboard to the notebook, outside of any cell's text."""
        self.driver.execute_script("window.jupyterapp.shell.currentWidget.content.node.focus()")
        self.press(Keys.ESCAPE)

    def press(self, *keys: str) -> None:
        """Press keys, the first ones held down."""
        chain = ActionChains(self.driver)
        *held, last = keys
        for key in held:
            chain.key_down(key)
        chain.send_keys(last)
        for key in reversed(held):
            chain.key_up(key)
        chain.perform()

    def command(self, label: str) -> None:
        """Run a command of JupyterLab through its command palette."""
        self.press(Keys.CONTROL, Keys.SHIFT, "c")
        palette = "document.querySelector('#modal-command-palette input, .jp-ModalCommandPalette input')"
        self.wait("the command palette is open", lambda: self._script(f"!!{palette}"), STEP_SECONDS)
        self._script(f"{palette}.focus()")
        ActionChains(self.driver).send_keys(label).perform()
        found = "document.querySelector('.lm-CommandPalette-item.lm-mod-active .lm-CommandPalette-itemLabel')"
        self.wait(label, lambda: self._script(f"{found}?.textContent") == label, STEP_SECONDS)
        self.press(Keys.ENTER)

    def _script(self, expression: str) -> Any:
        return self.driver.execute_script(f"return {expression}")

    def run_all(self) -> None:
        """Run all cells and wait until every one has run, or one has failed."""
        self.command("Run All Cells")

        def done() -> bool:
            counted = all(cell["execution_count"] for cell in self.code_cells())
            return (counted or bool(self.errors())) and self.status() == "idle"

        self.wait("all cells have run", done, RUN_SECONDS)

    def step(self) -> None:
        """Run the selected cell, wait until it is done, and select the next one."""
        index = self.active()
        cell = self.cells()[index]
        before = cell.get("execution_count")
        self.press(Keys.SHIFT, Keys.ENTER)
        if cell["cell_type"] == "code" and source_of(cell).strip():

            def done() -> bool:
                count = self.cells()[index].get("execution_count")
                return bool(count) and count != before and self.status() == "idle"

            self.wait(f"this cell has run: {source_of(cell)[:60]}", done, CELL_SECONDS)
        self.wait("the next cell is selected", lambda: self.active() != index, STEP_SECONDS)

    def options(self, index: int) -> list[str]:
        """Return the options of the question that stands below a cell.

        Args:
            index: number of the cell, counted from 0.
        """
        labels = f"{_BELOW.format(index=index)}?.querySelectorAll('.widget-radio-box label') ?? []"
        return [str(text) for text in self._script(f"Array.from({labels}, label => label.textContent)")]

    def choose(self, index: int, option: str) -> None:
        """Choose an option of the question below the selected cell's predecessor, by keyboard.

        Args:
            index: number of the question's cell, counted from 0; the next cell is selected before and after.
            option: the option.
        """
        self.wait("the question is there", lambda: option in self.options(index), STEP_SECONDS)
        self.press(Keys.ARROW_UP)
        self.wait("the question's cell is selected", lambda: self.active() == index, STEP_SECONDS)
        focused = f"{_BELOW.format(index=index)}.contains(document.activeElement) && {_FOCUSED}"
        for _ in range(TABS):
            if self._script(focused) == option:
                break
            self.press(Keys.TAB)
        else:
            raise AssertionError(f"{option!r} is not reached within {TABS} presses of Tab")
        self.press(Keys.SPACE)
        self.wait(f"{option} is noted", lambda: option == self._chosen(index), STEP_SECONDS)
        self.press(Keys.ARROW_DOWN)
        self.wait("the next cell is selected", lambda: self.active() == index + 1, STEP_SECONDS)

    def _chosen(self, index: int) -> str:
        """Return the option that the kernel says it has noted."""
        text = str(self._script(f"{_BELOW.format(index=index)}.innerText"))
        checked = f"{_BELOW.format(index=index)}.querySelector('input:checked')?.closest('label')?.textContent"
        option = str(self._script(checked) or "")
        return option if option and f"Noted: {option}" in text else ""

    def replace(self, index: int, source: str) -> None:
        """Give a cell another text and select it.

        Args:
            index: number of the cell, counted from 0.
            source: the text.
        """
        panel = "window.jupyterapp.shell.currentWidget.content"
        self.driver.execute_script(
            f"{panel}.activeCellIndex = arguments[0]; {panel}.activeCell.model.sharedModel.setSource(arguments[1])",
            index,
            source,
        )
        self.at_rest()

    def active(self) -> int:
        """Return the number of the selected cell, counted from 0."""
        return int(self._script("window.jupyterapp.shell.currentWidget.content.activeCellIndex"))

    def unloaded_pictures(self) -> list[str]:
        """Return the alternative texts of pictures on the page that did not load."""
        images = "Array.from(document.querySelectorAll('.jp-Notebook img'))"
        return [str(alt) for alt in self._script(f"{images}.filter(i => !i.naturalWidth).map(i => i.alt)")]

    def heights(self, stream: str) -> list[int]:
        """Return how many lines of the screen each output of a stream fills."""
        found: list[int] = self._script(
            f"Array.from(document.querySelectorAll('[data-mime-type=\"application/vnd.jupyter.{stream}\"] pre'), "
            "pre => { const range = document.createRange(); range.selectNodeContents(pre); "
            "return new Set(Array.from(range.getClientRects(), box => Math.round(box.top))).size })"
        )
        return found

    def screenshot(self, path: Path, *, whole: bool = False) -> None:
        """Keep a picture of the page.

        Args:
            path: the PNG file.
            whole: make the window as tall as the notebook first.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        if whole:
            self._resize(TALLEST)
            seen: list[int] = []

            def settled() -> bool:
                seen.append(self.driver.execute_script(_BOTTOM))
                return len(set(seen[-3:])) == 1 < len(seen[-3:])

            self.wait("the notebook is laid out", settled, STEP_SECONDS)
            self._resize(seen[-1] + MARGIN)
        self.driver.save_screenshot(str(path))
        self.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})

    def _resize(self, height: int) -> None:
        metrics = {"width": SCREEN_WIDTH, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        self.wait("the window has its new height", lambda: self._script("innerHeight") == height, STEP_SECONDS)


def text_of(source: str | list[str]) -> str:
    """Return multi-line text, which notebooks also write as a list."""
    return source if isinstance(source, str) else "".join(source)


def source_of(cell: dict[str, Any]) -> str:
    """Return a cell's text."""
    return text_of(cell["source"])


def printed(cell: dict[str, Any]) -> str:
    """Return what a cell printed."""
    return "".join(text_of(output["text"]) for output in cell["outputs"] if output["output_type"] == "stream")
