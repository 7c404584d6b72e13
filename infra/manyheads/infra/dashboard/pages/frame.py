"""What every page has around it: navigation, how fresh it is, the theme."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from fastapi import Request
from nicegui import ui

from manyheads.infra.dashboard import figures
from manyheads.infra.dashboard.model import Letter, Snapshot
from manyheads.infra.dashboard.pages.widgets import Text, box, describe, restyle
from manyheads.infra.telemetry.aggregate import TenantFigures
from manyheads.topics.names import RingName, TenantName

THEME_COOKIE = "manyheads_theme"
REFRESH_S = 0.5
_LATE_S = 8.0
_PAGES = (
    ("/", "Overview"),
    ("/lag", "Lag"),
    ("/tenants", "Tenants"),
    ("/workers", "Workers"),
    ("/letters", "Dead letters"),
)
# One heart, many heads.
MARK = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2" '
    'stroke-linecap="round"><circle cx="5" cy="12" r="3" fill="currentColor" stroke="none"/>'
    '<path d="M8 12h6M8 11C11 9 11 5 15 5M8 13c3 2 3 6 7 6"/><circle cx="19" cy="5" r="2"/>'
    '<circle cx="19" cy="12" r="2"/><circle cx="19" cy="19" r="2"/></svg>'
)


_ICONS = {"auto": "brightness_auto", "light": "light_mode", "dark": "dark_mode"}
_VALUES = {"auto": None, "light": False, "dark": True}
_NEXT = {"auto": "light", "light": "dark", "dark": "auto"}


class Theme:
    """Follows the system, unless a visitor chose otherwise; the choice is kept in a cookie."""

    def __init__(self, request: Request) -> None:
        chosen = request.cookies.get(THEME_COOKIE, "auto")
        self._chosen = chosen if chosen in _VALUES else "auto"
        self._mode = ui.dark_mode(_VALUES[self._chosen])
        with box("switch", "button").on("click", self._change) as self._button:
            self._icon = ui.icon(_ICONS[self._chosen])
        self._tell()

    def _change(self) -> None:
        self._chosen = _NEXT[self._chosen]
        self._mode.set_value(_VALUES[self._chosen])
        self._icon.set_name(_ICONS[self._chosen])
        self._tell()
        ui.run_javascript(f"document.cookie='{THEME_COOKIE}={self._chosen}; path=/; max-age=31536000; samesite=lax'")

    def _tell(self) -> None:
        told = {"auto": "as the system", "light": "light", "dark": "dark"}[self._chosen]
        describe(self._button, "title", f"Theme: {told}")
        describe(self._button, "aria-label", f"Theme: {told}. Change it.")


class Pulse:
    """How fresh the page is."""

    def __init__(self) -> None:
        with box("pulse"):
            self._dot = box("dot")
            self._text = Text("span")

    def show(self, snapshot: Snapshot | None, now_ms: int) -> None:
        if snapshot is None:
            restyle(self._dot, "dot")
            self._text.show("starting")
            return
        age_s = max(0, now_ms - snapshot.at_ms) / 1_000
        if snapshot.lag.broker is not None:
            restyle(self._dot, "dot lost")
            self._text.show("no broker")
        elif age_s > _LATE_S:
            restyle(self._dot, "dot late")
            self._text.show(f"as of {figures.ago(age_s)}")
        else:
            restyle(self._dot, "dot live")
            self._text.show("live")


class Board(Protocol):
    """Where pages get what they show."""

    @property
    def snapshot(self) -> Snapshot | None:
        """The newest; None before the first."""

    def now_ms(self) -> int:
        """ms since 1970."""

    def read_text(self, letter: Letter) -> str:
        """A dead letter's text, read from Kafka. Blocks. Raises ManyheadsError."""

    def tenant_series(self, ring: RingName, tenant: TenantName) -> Sequence[TenantFigures]:
        """One tenant's last 15 minutes, the oldest first."""

    def tenant_requests(self, ring: str, tenant: str) -> Sequence[float]:
        """How many requests it had in each part of them."""


@contextmanager
def frame(request: Request, here: str, board: Board) -> Iterator[Pulse]:
    """The page around its body."""
    with box("bar", "header"):
        with box("brand", "a") as brand:
            brand.props["href"] = "/"
            ui.html(MARK, sanitize=False)
            Text("span", "", "manyheads")
        with box("nav", "nav"):
            for path, name in _PAGES:
                link = Text("a", "here" if path == here else "", name)
                link.props["href"] = path
                if path == here:
                    link.props["aria-current"] = "page"
        pulse = Pulse()
        Theme(request)
    with box("main", "main"):
        pulse.show(board.snapshot, board.now_ms())
        yield pulse


@dataclass(slots=True)
class Live:
    """Shows every new snapshot, for as long as somebody looks."""

    board: Board
    pulse: Pulse
    show: Callable[[Snapshot], None]
    _shown: Snapshot | None = None

    def start(self) -> None:
        """Show what there is, and go on."""
        self.refresh()
        ui.timer(REFRESH_S, self.refresh, immediate=False)

    def refresh(self, *, again: bool = False) -> None:
        """Show the newest snapshot, unless it is shown already and not wanted ``again``."""
        snapshot = self.board.snapshot
        self.pulse.show(snapshot, self.board.now_ms())
        if snapshot is not None and (again or snapshot is not self._shown):
            self._shown = snapshot
            self.show(snapshot)
