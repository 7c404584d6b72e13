"""Workers, on the page."""

from manyheads.infra.dashboard.model import Snapshot
from manyheads.infra.dashboard.pages.widgets import (
    Chip,
    Column,
    Fields,
    NoticeBox,
    Rows,
    Text,
    box,
    cell,
    restyle,
    table,
    title,
)
from manyheads.infra.dashboard.views.workers import WorkerRow, workers_page

_STATE = Column("state", "State")
_COLUMNS = (
    Column("stage", "Stage"),
    Column("partitions", "Partitions"),
    Column("heads", "Heads", "num"),
    Column("memory", "Memory", "num"),
    Column("in_flight", "In flight", "num"),
    Column("versions", "Versions"),
    Column("last_report", "Last report", "num"),
)


class WorkerBox:
    """One worker."""

    def __init__(self) -> None:
        with box("", "tr") as self.root:
            with cell("lead"):
                self._instance = Text("div", "strong")
                self._where = Text("div", "sub")
            with cell("", _STATE.heading):
                self._chip = Chip()
                self._why = Text("div", "sub")
            self._fields = Fields(_COLUMNS)

    def show(self, row: WorkerRow) -> None:
        self._instance.show(row.instance)
        self._where.show(row.where)
        self._chip.show(row.state)
        self._why.show(row.why, "sub" if row.why else "hidden")
        self._fields.show(row)


class WorkersBody:
    """The page."""

    def __init__(self) -> None:
        self._summary = title("Workers")
        self._notices = Rows(box("contents"), NoticeBox)
        with box("card pad") as self._card:
            self._rows = Rows(table("Worker", (_STATE, *_COLUMNS)), WorkerBox)

    def show(self, snapshot: Snapshot) -> None:
        view = workers_page(snapshot)
        self._summary.show(view.summary)
        self._notices.show(view.notices)
        restyle(self._card, "card pad" if view.rows else "hidden")
        self._rows.show(view.rows)
