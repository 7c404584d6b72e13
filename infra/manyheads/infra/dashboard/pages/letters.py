"""Dead letters, on the page."""

import asyncio
from collections.abc import Callable

from nicegui import ui

from manyheads.infra.dashboard import figures
from manyheads.infra.dashboard.model import Letter, Snapshot
from manyheads.infra.dashboard.pages.widgets import (
    Column,
    Fields,
    NoticeBox,
    Pairs,
    Rows,
    Text,
    box,
    cell,
    describe,
    restyle,
    table,
    title,
)
from manyheads.infra.dashboard.views.letters import LetterKey, LetterRow, Reason, TopicCard, find_letter, letters_page
from manyheads.topics.errors import ManyheadsError

_COLUMNS = (Column("tenant", "Tenant"), Column("topic", "Topic", "mono"), Column("when", "When", "num"))


class ReasonBox:
    """One reason of a topic."""

    def __init__(self) -> None:
        with box("barrow") as self.root:
            self._code = Text("span", "mono")
            with box("track"):
                self._fill = box("fill")
            self._number = Text("span", "num")

    def show(self, reason: Reason) -> None:
        self._code.show(reason.code)
        self._number.show(reason.number)
        self._fill.style(replace=f"width: {max(1.0, 100 * reason.share):.1f}%")


class TopicBox:
    """One dead-letter topic."""

    def __init__(self) -> None:
        with box("card", "section") as self.root:
            with box("cardhead"):
                self._topic = Text("h2", "mono")
                self._note = Text("span", "note push")
            self._reasons = Rows(box("bars"), ReasonBox)

    def show(self, card: TopicCard) -> None:
        self._topic.show(card.topic)
        self._note.show(f"{card.count} · {card.note}" if card.note else card.count)
        self._reasons.show(card.reasons)


class LetterSheet:
    """One letter: where it stood, its headers, and its text for those who ask for it."""

    def __init__(self, read_text: Callable[[Letter], str]) -> None:
        self._read_text = read_text
        self._letter: Letter | None = None
        with ui.dialog() as self._dialog, ui.card().classes("sheet"):
            self._heading = Text("h2")
            self._reason = Text("p", "quiet")
            self._pairs = Pairs()
            self._text = Text("div", "hidden")
            with box("tools"):
                self._button = Text("button", "button", "Show its text").on("click", self._show_text)
                Text("button", "button", "Close").on("click", self._dialog.close)

    def open(self, letter: Letter) -> None:
        self._letter = letter
        self._heading.show(letter.code)
        self._reason.show(letter.reason)
        size = "none" if letter.value_bytes is None else figures.size(letter.value_bytes)
        place = (
            ("Topic", letter.topic),
            ("Partition, offset", f"{letter.partition}, {letter.offset}"),
            ("Value", size),
        )
        self._pairs.show((*place, *letter.headers))
        self._text.show("", "hidden")
        restyle(self._button, "button")
        self._dialog.open()

    async def _show_text(self) -> None:
        letter = self._letter
        if letter is None:
            return
        self._text.show("Reading it from Kafka", "textbox quiet")
        try:
            text = await asyncio.to_thread(self._read_text, letter)
        except ManyheadsError as error:
            text = error.message
        if letter is self._letter:
            self._text.show(text, "textbox")
            restyle(self._button, "hidden")


class LetterBox:
    """One letter in the list."""

    def __init__(self, choose: Callable[[LetterKey], None]) -> None:
        self._key: LetterKey | None = None
        self._choose = choose
        with box("link", "tr").on("click", self._open) as self.root:
            with cell("lead"):
                self._code = Text("button", "strong plain")
                self._reason = Text("div", "sub")
            self._fields = Fields(_COLUMNS)

    def show(self, row: LetterRow) -> None:
        self._key = row.key
        self._code.show(row.code)
        self._reason.show(row.reason)
        describe(self.root, "data-offset", str(row.key[2]))
        self._fields.show(row)

    def _open(self) -> None:
        if self._key is not None:
            self._choose(self._key)


class LettersBody:
    """The page."""

    def __init__(self, read_text: Callable[[Letter], str]) -> None:
        self._snapshot: Snapshot | None = None
        self._sheet = LetterSheet(read_text)
        self._summary = title("Dead letters")
        self._notices = Rows(box("contents"), NoticeBox)
        self._topics = Rows(box("pair"), TopicBox)
        with box("card", "section") as self._card:
            with box("cardhead"):
                Text("h2", "", "The newest")
                self._shown = Text("span", "note push")
            self._rows = Rows(table("Reason", _COLUMNS), lambda: LetterBox(self._choose))
        self._quiet = Text("div", "foot")

    def show(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        view = letters_page(snapshot)
        self._summary.show(view.summary)
        self._notices.show(view.notices)
        self._topics.show(view.topics)
        self._rows.show(view.rows)
        self._shown.show(view.shown)
        restyle(self._card, "card" if view.rows else "hidden")
        self._quiet.show(f"Nothing in {view.quiet_topics}" if view.quiet_topics else "")

    def _choose(self, key: LetterKey) -> None:
        letter = None if self._snapshot is None else find_letter(self._snapshot, key)
        if letter is not None:
            self._sheet.open(letter)
