"""Elements that show views. An element is made once and then told what to show; what stays the same is not sent."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from nicegui import ui
from nicegui.elements.mixins.text_element import TextElement

from manyheads.infra.dashboard.sparkline import sparkline
from manyheads.infra.dashboard.views.parts import Figure, Notice, Tone
from manyheads.infra.dashboard.views.verdict import Verdict

View = TypeVar("View")
View_contra = TypeVar("View_contra", contravariant=True)


class Shows(Protocol[View_contra]):
    """A widget with an element around it."""

    @property
    def root(self) -> ui.element: ...

    def show(self, view: View_contra) -> None: ...


class Text(TextElement):
    """A text in a tag."""

    def __init__(self, tag: str = "div", style: str = "", text: str = "") -> None:
        super().__init__(tag=tag, text=text)
        self.classes(style)

    def show(self, text: str, style: str | None = None) -> None:
        """Another text, and another style if there is one."""
        self.text = text
        if style is not None:
            restyle(self, style)


def box(style: str, tag: str = "div") -> ui.element:
    """An element that holds others."""
    return ui.element(tag).classes(style)


def restyle(element: ui.element, style: str) -> None:
    """Replace the style classes, if they differ."""
    if list(element.classes) != style.split():
        element.classes(replace=style)


def describe(element: ui.element, name: str, value: str | None) -> None:
    """Set an attribute, if it differs; None takes it away."""
    if element.props.get(name) != value:
        element.props.set_optional(name, value)


class Rows(Generic[View]):
    """As many widgets as there are views, in their order."""

    def __init__(self, container: ui.element, make: Callable[[], Shows[View]]) -> None:
        self._container = container
        self._make = make
        self._widgets: list[Shows[View]] = []

    def show(self, views: Sequence[View]) -> None:
        """Show the views, with new widgets for those that are more and none for those that are gone."""
        while len(self._widgets) > len(views):
            self._widgets.pop().root.delete()
        with self._container:
            while len(self._widgets) < len(views):
                self._widgets.append(self._make())
        for widget, view in zip(self._widgets, views, strict=True):
            widget.show(view)


class Spark:
    """The small chart of a figure."""

    def __init__(self) -> None:
        # Not sanitised: the markup is ours, and holds numbers only.
        self.root = ui.html("", sanitize=False)

    def show(self, figure: Figure) -> None:
        self.root.set_content(sparkline(*figure.lines, ceiling=figure.ceiling))


class FigureBox:
    """A figure within a row: its name (a style sheet may leave it out under a heading), value, remark, chart."""

    def __init__(self, name: str) -> None:
        with box("figure") as self.root:
            Text("div", "cellname", name)
            self._value = Text("div", "value")
            self._note = Text("div", "note")
            self._spark = Spark()

    def show(self, figure: Figure) -> None:
        self._value.show(figure.value, f"value {figure.tone}")
        self._note.show(figure.note)
        describe(self._note, "title", figure.note or None)
        self._spark.show(figure)


class Tile:
    """A figure on its own."""

    def __init__(self) -> None:
        with box("tile") as self.root:
            self._name = Text("div", "name")
            self._value = Text("div", "value")
            self._note = Text("div", "note")
            self._spark = Spark()

    def show(self, view: tuple[str, Figure]) -> None:
        name, figure = view
        self._name.show(name)
        self._value.show(figure.value, f"value {figure.tone}")
        self._note.show(figure.note)
        self._spark.show(figure)


class Hero:
    """The verdict."""

    def __init__(self) -> None:
        with box("hero") as self.root:
            self._dot = box("dot")
            with box(""):
                self._headline = Text("h1")
                self._sentence = Text("p")

    def show(self, verdict: Verdict) -> None:
        restyle(self._dot, f"dot {_dot(verdict.tone)}")
        self._headline.show(verdict.headline)
        self._sentence.show(verdict.sentence)


class NoticeBox:
    """What keeps a page from showing more."""

    def __init__(self) -> None:
        with box("notice") as self.root, box(""):
            self._what = Text("b")
            self._todo = Text("span")

    def show(self, notice: Notice) -> None:
        restyle(self.root, f"notice {'lost' if notice.tone is Tone.BAD else notice.tone}")
        self._what.show(notice.what)
        self._todo.show(notice.todo)


class Chip:
    """A state, as a word on its colour."""

    def __init__(self) -> None:
        self.root = Text("span", "chip")

    def show(self, state: str | None) -> None:
        self.root.show(state or "unknown", f"chip {state or ''}")


class Pairs:
    """Names and values."""

    def __init__(self, pairs: Sequence[tuple[str, str]] = ()) -> None:
        self.root = box("pairs", "dl")
        self._shown: Sequence[tuple[str, str]] = ()
        self.show(pairs)

    def show(self, pairs: Sequence[tuple[str, str]]) -> None:
        if pairs != self._shown:
            self._shown = pairs
            self.root.clear()
            with self.root:
                for name, value in pairs:
                    Text("dt", "", name)
                    Text("dd", "", value)


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table, which shows a field of the rows' views."""

    field: str
    heading: str
    style: str = ""
    """``num`` for numbers, which stand at the right"""


def table(lead: str, columns: Sequence[Column]) -> ui.element:
    """A table with its heading: what ``lead`` calls, then the columns. Returns the body, which holds the rows."""
    with box("table", "table"):
        with box("", "thead"), box("", "tr"):
            Text("th", "", lead)
            for column in columns:
                Text("th", column.style, column.heading)
        return box("", "tbody")


def cell(style: str, heading: str | None = None) -> ui.element:
    """A cell of a table; ``heading`` is shown in it where there is no room for one above."""
    found = box(style, "td")
    describe(found, "data-name", heading)
    return found


class Fields:
    """A row's cells after its first, with a text each."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self._texts: dict[str, Text] = {}
        for column in columns:
            with cell(column.style, column.heading):
                self._texts[column.field] = Text("span")

    def show(self, view: object, **styles: str) -> None:
        """The fields of ``view``; ``styles`` by field for those that have one."""
        for field, text in self._texts.items():
            text.show(getattr(view, field), styles.get(field))


def title(heading: str, sentence: str = "") -> Text:
    """A page's heading; returns the sentence under it."""
    with box("title"):
        Text("h1", "", heading)
        return Text("p", "", sentence)


def _dot(tone: Tone) -> str:
    return {Tone.LIVE: "live", Tone.WARN: "late", Tone.BAD: "lost"}.get(tone, "")
