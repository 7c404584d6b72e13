"""Tenants, on the page."""

from collections.abc import Callable, Sequence

from nicegui import ui

from manyheads.infra.dashboard.model import Snapshot
from manyheads.infra.dashboard.pages.widgets import (
    Column,
    Fields,
    NoticeBox,
    Pairs,
    Rows,
    Spark,
    Text,
    Tile,
    box,
    cell,
    describe,
    restyle,
    table,
    title,
)
from manyheads.infra.dashboard.views.tenants import Order, TenantRow, tenant_page, tenants_page
from manyheads.infra.telemetry.aggregate import TenantFigures
from manyheads.topics.names import RingName, TenantName

_COLUMNS = (
    Column("requests", "Requests, 15 min", "num"),
    Column("share", "Share", "num"),
    Column("p50", "p50", "num"),
    Column("p99", "p99", "num"),
    Column("errors", "Errors", "num"),
)
_PAST = "Last 15 minutes"
_ORDERS = ((Order.TRAFFIC, "Most traffic"), (Order.LATENCY, "Slowest"), (Order.ERRORS, "Most errors"))


class TenantBox:
    """One tenant."""

    def __init__(self) -> None:
        with box("link", "tr") as self.root:
            with cell("lead"):
                self._name = Text("a", "strong cover")
                self._ring = Text("div", "sub")
            with cell("wide", _PAST):
                self._past = Spark()
            self._fields = Fields(_COLUMNS)

    def show(self, row: TenantRow) -> None:
        ring, tenant = row.key
        self._name.show(tenant)
        describe(self._name, "href", f"/tenants/{ring}/{tenant}")
        self._ring.show(f"ring {ring}")
        self._past.show(row.past)
        self._fields.show(row, errors=f"value {row.tone}")


class TenantsBody:
    """The page.

    Args:
        again: shows the present snapshot once more, after another search or order.
        requests: of a ring's tenant over the last 15 minutes, the oldest first.
    """

    def __init__(self, again: Callable[[], None], requests: Callable[[str, str], Sequence[float]]) -> None:
        self._order = Order.TRAFFIC
        self._requests = requests
        self._again = again
        self._found = title("Tenants")
        self._notices = Rows(box("contents"), NoticeBox)
        with box("tools"):
            self._search = ui.input(placeholder="Search a tenant", on_change=again).props(
                'outlined dense clearable aria-label="Search a tenant"'
            )
            self._search.classes("search")
            with box("segments"):
                self._buttons = {order: self._button(order, name) for order, name in _ORDERS}
        with box("card pad") as self._card:
            self._rows = Rows(table("Tenant", (Column("past", _PAST, "wide"), *_COLUMNS)), TenantBox)
        self._empty = Text("div", "hidden")

    def show(self, snapshot: Snapshot) -> None:
        view = tenants_page(snapshot, self._search.value or "", self._order, self._requests)
        self._found.show(view.found)
        self._notices.show(view.notices)
        self._rows.show(view.rows)
        restyle(self._card, "card pad" if view.rows else "hidden")
        self._empty.show(view.empty, "hidden" if view.rows else "quiet")

    def _button(self, order: Order, name: str) -> Text:
        button = Text("button", "here" if order is self._order else "", name)
        button.on("click", lambda: self._sort(order))
        return button

    def _sort(self, order: Order) -> None:
        self._order = order
        for each, button in self._buttons.items():
            restyle(button, "here" if each is order else "")
            describe(button, "aria-pressed", "true" if each is order else "false")
        self._again()


class TenantBody:
    """One tenant's page."""

    def __init__(
        self, ring: RingName, tenant: TenantName, series: Callable[[RingName, TenantName], Sequence[TenantFigures]]
    ) -> None:
        self._ring, self._tenant, self._series = ring, tenant, series
        back = Text("a", "quiet", "← All tenants")
        back.props["href"] = "/tenants"
        self._sentence = title(tenant)
        self._notices = Rows(box("contents"), NoticeBox)
        self._tiles = Rows(box("tiles three"), Tile)
        with box("card pad") as self._card, box("group"):
            Text("h2", "", "As registered")
            self._pairs = Pairs()

    def show(self, snapshot: Snapshot) -> None:
        view = tenant_page(snapshot, self._ring, self._tenant, self._series(self._ring, self._tenant))
        self._sentence.show(view.sentence)
        self._notices.show(view.notices)
        self._tiles.show(view.tiles)
        self._pairs.show(view.pairs)
        restyle(self._card, "card pad" if view.pairs else "hidden")
