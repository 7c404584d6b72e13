"""The notebook runs on a real pipeline, and is kept in git as it was before it ran."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tests.examples.conftest import Pipeline

NOTEBOOK = Path(__file__).parents[2] / "examples" / "notebook.ipynb"


def as_kept() -> nbformat.NotebookNode:
    """The notebook's file."""
    notebook: nbformat.NotebookNode = nbformat.read(NOTEBOOK, as_version=4)  # type: ignore[no-untyped-call]
    return notebook


def outputs(notebook: nbformat.NotebookNode) -> dict[str, str]:
    """What each cell has shown, as HTML if it can, by the cell's id."""
    shown = {}
    for cell in notebook.cells:
        found = [output.get("data", {}) for output in cell.get("outputs", ())]
        shown[cell.id] = "".join(data.get("text/html") or data.get("text/plain", "") for data in found)
    return shown


def test_it_runs_and_shows_answers(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MANYHEADS_BOOTSTRAP_SERVERS", pipeline.bootstrap_servers)
    notebook = as_kept()
    client = NotebookClient(notebook, timeout=120, startup_timeout=120, kernel_name="python3")
    shown = outputs(client.execute())
    assert shown["ask"].startswith("<Answer ")
    assert pipeline.head in shown["ask"]
    assert shown["table"].count("<tr") == 5
    assert "text_empty" in shown["table"]


def test_it_is_kept_without_outputs() -> None:
    notebook = as_kept()
    nbformat.validate(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert not cell.outputs, "clear the outputs of all cells before you save it"
            assert cell.execution_count is None
