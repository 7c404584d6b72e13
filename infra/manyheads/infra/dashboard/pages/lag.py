"""Lag, on the page."""

from nicegui import ui

from manyheads.infra.dashboard.model import Snapshot
from manyheads.infra.dashboard.pages.widgets import (
    Chip,
    Hero,
    NoticeBox,
    Pairs,
    Rows,
    Spark,
    Text,
    box,
    describe,
    restyle,
)
from manyheads.infra.dashboard.views.lag import LEGEND, Cell, CellKey, GroupCard, lag_page
from manyheads.infra.dashboard.views.parts import Figure


class Sheet:
    """What is known of one partition, kept fresh while it is open."""

    def __init__(self) -> None:
        self._key: CellKey | None = None
        with ui.dialog() as self._dialog, ui.card().classes("sheet"):
            self._heading = Text("h2")
            self._pairs = Pairs()
            Text("button", "button", "Close").on("click", self._dialog.close)

    def open(self, cell: Cell) -> None:
        self._key = cell.key
        self.show({cell.key: cell})
        self._dialog.open()

    def show(self, cells: dict[CellKey, Cell]) -> None:
        if self._key is None:
            return
        cell = cells.get(self._key)
        self._heading.show(f"{self._key[1]}, partition {self._key[2]}")
        self._pairs.show(cell.pairs if cell is not None else (("State", "this partition is gone"),))


class CellBox:
    """One partition."""

    def __init__(self, sheet: Sheet) -> None:
        self._cell: Cell | None = None
        with box("cell", "button").on("click", self._open) as self.root:
            self._number = Text("span", "number")
            self._lag = Text("span", "lag")
        self._sheet = sheet

    def show(self, cell: Cell) -> None:
        self._cell = cell
        restyle(self.root, f"cell {cell.style}")
        describe(self.root, "title", cell.told)
        describe(self.root, "aria-label", cell.told)
        describe(self.root, "data-partition", f"{cell.key[1]}/{cell.key[2]}")
        self._number.show(cell.number)
        self._lag.show(cell.lag)

    def _open(self) -> None:
        if self._cell is not None:
            self._sheet.open(self._cell)


class FactBox:
    """One figure of a group."""

    def __init__(self) -> None:
        with box("fact") as self.root:
            self._name = Text("div", "cellname")
            self._value = Text("div", "value")
            self._spark = Spark()

    def show(self, fact: tuple[str, Figure]) -> None:
        name, figure = fact
        self._name.show(name)
        self._value.show(figure.value, f"value {figure.tone}")
        self._spark.show(figure)


class GroupBox:
    """One group."""

    def __init__(self, sheet: Sheet) -> None:
        with box("card", "section") as self.root:
            with box("cardhead"):
                self._name = Text("h2")
                self._chip = Chip()
                self._sentence = Text("span", "note")
                self._kafka = Text("span", "note push mono")
            with box("group"):
                self._facts = Rows(box("facts"), FactBox)
                with box("maps"):
                    with box(""):
                        self._heat = box("heat")
                        self._cells = Rows(self._heat, lambda: CellBox(sheet))
                        self._left_out = Text("div", "quiet")
                    with box("history") as self._history:
                        self._strip = ui.html("", sanitize=False)  # ours, numbers only
                        with box("axis"):
                            Text("span", "", "15 minutes ago")
                            self._note = Text("span")
                            Text("span", "", "now")

    def show(self, card: GroupCard) -> None:
        describe(self.root, "data-group", card.group)
        self._name.show(card.name)
        self._chip.show(card.state)
        self._kafka.show(card.kafka)
        self._sentence.show(card.sentence)
        self._facts.show(card.facts)
        restyle(self._heat, "heat dense" if card.dense else "heat")
        self._cells.show(card.cells)
        self._left_out.show(card.left_out, "quiet" if card.left_out else "hidden")
        restyle(self._history, "history" if card.strip else "hidden")
        self._strip.set_content(card.strip)
        self._note.show(card.strip_note)


class LagBody:
    """The page."""

    def __init__(self) -> None:
        self._sheet = Sheet()
        self._hero = Hero()
        with box("legend"):
            for state, told in LEGEND:
                with box("entry"):
                    Chip().show(state)
                    Text("span", "", told)
        self._notices = Rows(box("contents"), NoticeBox)
        self._groups = Rows(box("contents"), lambda: GroupBox(self._sheet))

    def show(self, snapshot: Snapshot) -> None:
        view = lag_page(snapshot)
        self._hero.show(view.verdict)
        self._notices.show(view.notices)
        self._groups.show(view.groups)
        self._sheet.show({cell.key: cell for card in view.groups for cell in card.cells})
