"""Workers, on the page."""

from manyheads.infra.dashboard.model import Snapshot
from manyheads.infra.dashboard.pages.widgets import Chip, NoticeBox, Rows, Text, box, cell, restyle, table, title
from manyheads.infra.dashboard.views.workers import WorkerRow, workers_page

_COLUMNS = ("Worker", "State", "Stage", "Partitions", "Heads", "Memory", "In flight", "Versions", "Last report")


class WorkerBox:
    """One worker."""

    def __init__(self) -> None:
        with box("", "tr") as self.root:
            with cell("lead"):
                self._instance = Text("div", "strong")
                self._where = Text("div", "sub")
            with cell("", "State"):
                self._chip = Chip()
                self._why = Text("div", "sub")
            names = ("stage", "partitions", "heads", "memory", "in_flight", "versions", "last_report")
            self._texts = {}
            for name, column in zip(names, _COLUMNS[2:], strict=True):
                with cell("num" if name in ("heads", "memory", "in_flight", "last_report") else "", column):
                    self._texts[name] = Text("span")

    def show(self, row: WorkerRow) -> None:
        self._instance.show(row.instance)
        self._where.show(row.where)
        self._chip.show(row.state)
        self._why.show(row.why, "sub" if row.why else "hidden")
        for name, text in self._texts.items():
            text.show(getattr(row, name))


class WorkersBody:
    """The page."""

    def __init__(self) -> None:
        self._summary = title("Workers")
        self._notices = Rows(box("contents"), NoticeBox)
        with box("card pad") as self._card:
            numbers = ("Heads", "Memory", "In flight", "Last report")
            self._rows = Rows(table(_COLUMNS, numbers), WorkerBox)

    def show(self, snapshot: Snapshot) -> None:
        view = workers_page(snapshot)
        self._summary.show(view.summary)
        self._notices.show(view.notices)
        restyle(self._card, "card pad" if view.rows else "hidden")
        self._rows.show(view.rows)
