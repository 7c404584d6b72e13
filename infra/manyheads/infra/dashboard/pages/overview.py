"""The overview, on the page."""

from manyheads.infra.dashboard.model import Snapshot
from manyheads.infra.dashboard.pages.widgets import (
    Chip,
    FigureBox,
    Hero,
    NoticeBox,
    Rows,
    Text,
    Tile,
    box,
    restyle,
)
from manyheads.infra.dashboard.views.overview import RingCard, StageRow, overview

_COLUMNS = ("Rate", "p99", "Errors", "Oldest waits", "Caught up in")


class StageBox:
    """One stage of one lane."""

    def __init__(self) -> None:
        with box("stage") as self.root:
            with box("who"):
                with box("what"):
                    self._name = Text("span")
                    self._lane = Text("span", "lane")
                self._chip = Chip()
                self._why = Text("span", "note")
            self._figures = [FigureBox(name) for name in _COLUMNS]

    def show(self, row: StageRow) -> None:
        restyle(self.root, "stage idle" if row.idle else "stage")
        self._name.show(row.name)
        self._lane.show(f" {row.key.lane}")
        self._chip.show(row.state)
        self._why.show(row.sentence, "note" if row.sentence else "hidden")
        shown = (row.rate, row.latency, row.errors, row.oldest, row.eta)
        for widget, figure in zip(self._figures, shown, strict=True):
            widget.show(figure)


class RingBox:
    """One ring."""

    def __init__(self) -> None:
        with box("card", "section") as self.root:
            with box("cardhead"):
                self._name = Text("h2")
                self._note = Text("span", "note")
            with box("stages") as stages, box("stage heading"):
                Text("div", "", "Stage, lane and state")
                for name in _COLUMNS:
                    Text("div", "", name)
            self._rows = Rows(stages, StageBox)

    def show(self, card: RingCard) -> None:
        self._name.show(f"Ring {card.ring}")
        self._note.show(card.note)
        self._rows.show(card.rows)


class OverviewBody:
    """The page."""

    def __init__(self) -> None:
        self._hero = Hero()
        self._notices = Rows(box("contents"), NoticeBox)
        self._tiles = Rows(box("tiles"), Tile)
        self._rings = Rows(box("contents"), RingBox)

    def show(self, snapshot: Snapshot) -> None:
        view = overview(snapshot)
        self._hero.show(view.verdict)
        self._notices.show(view.notices)
        self._tiles.show(view.tiles)
        self._rings.show(view.rings)
