"""Labelled utterances: the demo's tenants, and the two file formats that anybody's own examples may have.

Markdown, one file a tenant, written by hand::

    # acme-bank

    A retail bank.

    ## transfer_money

    ### train

    - send [50 euros](amount) to [Anna](payee)

    ### held out

    - could [Marco](payee) get [20 pounds](amount) from me?

An entity is ``[its words](its label)``; square brackets mean nothing else. Held-out utterances are optional and are
never trained on.

JSON lines, for exports: ``{"text", "intent", "entities": [{"start", "end", "label"}]}``, offsets in characters, ``end``
exclusive, ``entities`` optional. All of them are for training.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from importlib import resources
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from manyheads.topics.errors import Detail, ErrorCode, InvalidRequest
from manyheads.topics.names import TenantName
from manyheads.topics.names import tenant as tenant_name
from manyheads.topics.text import checked_text

_BYTE_ORDER_MARK = "\ufeff"
_LABEL = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,62}")
_ENTITY = re.compile(r"\[([^][]*)\]\(([^()]*)\)")


@dataclass(frozen=True, slots=True)
class EntityAnnotation:
    """Characters ``start`` to ``end`` (exclusive) of a text are a ``label``."""

    label: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class LabelledText:
    """One utterance with its intent and its entities, which rise and do not overlap."""

    text: str
    intent: str
    entities: tuple[EntityAnnotation, ...] = ()
    place: str = field(default="", compare=False)
    """where it was read, such as ``shop.jsonl:7``, for errors that are found later"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Examples:
    """Utterances to train a head on, and others to test it with."""

    train: tuple[LabelledText, ...]
    held_out: tuple[LabelledText, ...] = ()

    @property
    def intents(self) -> tuple[str, ...]:
        """The intents trained on, in the order of their first utterance."""
        return tuple(dict.fromkeys(example.intent for example in self.train))

    @property
    def entity_labels(self) -> tuple[str, ...]:
        """The entity labels trained on, sorted."""
        return tuple(sorted({entity.label for example in self.train for entity in example.entities}))


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantExamples(Examples):
    """The examples of one tenant; ``business`` says in a sentence what it does."""

    tenant: TenantName
    business: str


def load_tenants() -> tuple[TenantExamples, ...]:
    """The demo's tenants, by name.

    Their held-out utterances were revised once with a baseline's mistakes in view: accuracy on them illustrates, it
    is no benchmark.

    Raises:
        InvalidRequest: as :func:`parse_examples` does.
    """
    folder = resources.files(__package__) / "tenants"
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".md")), key=lambda file: file.name)
    return tuple(parse_examples(file.read_text(encoding="utf-8"), file.name) for file in files)


def load_examples(path: Path) -> Examples:
    """The examples of a ``.md`` or ``.jsonl`` file; those of Markdown are :class:`TenantExamples`.

    Raises:
        InvalidRequest: the file cannot be read, is not UTF-8, has another extension, or is wrong at a line that the
            message names.
    """
    parsers: dict[str, Callable[[str, str], Examples]] = {".md": parse_examples, ".jsonl": parse_json_lines}
    parse = parsers.get(path.suffix)
    if parse is None:
        raise InvalidRequest(
            ErrorCode.INVALID_ARGUMENT, f"{path}: examples are read from .md or .jsonl files", suffix=path.suffix
        )
    try:
        # Windows puts a byte order mark first. As utf-8-sig, but an error's position counts its three bytes.
        text = path.read_text(encoding="utf-8").removeprefix(_BYTE_ORDER_MARK)
    except UnicodeDecodeError as error:
        raise InvalidRequest(
            ErrorCode.INVALID_ARGUMENT,
            f"{path}: byte {error.start} is not UTF-8; save the file as UTF-8",
            position=error.start,
        ) from None
    except OSError as error:
        raise InvalidRequest(
            ErrorCode.INVALID_ARGUMENT, f"{path}: cannot be read: {error.strerror or error}", errno=error.errno
        ) from error
    return parse(text, str(path))


def parse_examples(text: str, source: str) -> TenantExamples:
    """The tenant of a Markdown text. ``source`` names it in errors.

    Raises:
        InvalidRequest: the message starts with ``source:line:`` and says what that line should be.
    """
    parser = _MarkdownParser(source)
    for number, line in enumerate(text.split("\n"), start=1):
        parser.read(number, line.rstrip())
    return parser.finish()


def parse_json_lines(text: str, source: str) -> Examples:
    """The examples of JSON lines; blank lines are skipped. ``source`` names the text in errors.

    Raises:
        InvalidRequest: the message starts with ``source:line:`` and says what is wrong there.
    """
    lines = ((number, line) for number, line in enumerate(text.split("\n"), start=1) if line.strip())
    train = tuple(_json_example(line, _Place(source, number)) for number, line in lines)
    if not train:
        raise _Place(source, 1).error("no examples; put one JSON object on each line")
    return Examples(train=train)


@dataclass(frozen=True, slots=True)
class _Place:
    """A line of a file."""

    source: str
    line: int

    def __str__(self) -> str:
        return f"{self.source}:{self.line}"

    def error(self, message: str, code: ErrorCode = ErrorCode.INVALID_ARGUMENT, **details: Detail) -> InvalidRequest:
        place: dict[str, Detail] = {"source": self.source, "line": self.line}
        return InvalidRequest(code, f"{self}: {message}", **(details | place))

    def label(self, kind: str, text: str) -> str:
        if not _LABEL.fullmatch(text):
            raise self.error(f"{text!r:.80} is no {kind}: use a letter, then up to 62 letters, digits, '_', '-' or '.'")
        return text

    def text(self, text: str) -> str:
        try:
            return checked_text(text)
        except InvalidRequest as error:
            raise self.error(error.message, error.code, **error.details) from None


class _Split(StrEnum):
    TRAIN = "train"
    HELD_OUT = "held out"


class _MarkdownParser:
    """Reads one line after the other; knows the heading it is under."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._tenant: TenantName | None = None
        self._business: list[str] = []
        self._intent = ""
        self._split: _Split | None = None
        self._headings: dict[tuple[str, ...], int] = {}
        self._first_lines: dict[str, int] = {}
        self._examples: dict[_Split, list[LabelledText]] = {split: [] for split in _Split}
        self._place = _Place(source, 1)

    def read(self, number: int, line: str) -> None:
        self._place = _Place(self._source, number)
        if not line:
            return
        marker, _, rest = line.partition(" ")
        match marker:
            case "#":
                self._start_tenant(rest)
            case "##":
                self._start_intent(rest)
            case "###":
                self._start_split(rest)
            case "-":
                self._add_utterance(rest)
            case _ if self._tenant is not None and not self._intent:
                self._business.append(line)
            case _:
                raise self._place.error(
                    "expected '# tenant', '## intent', '### train', '### held out' or '- utterance'"
                )

    def finish(self) -> TenantExamples:
        self._end_intent()
        if self._tenant is None or not self._intent:
            raise self._place.error("the file ends without a '# tenant' heading and a '## intent' under it")
        if not self._business:
            raise self._place.error("say under the '# tenant' heading, in a sentence, what its business is")
        return TenantExamples(
            tenant=self._tenant,
            business=" ".join(self._business),
            train=tuple(self._examples[_Split.TRAIN]),
            held_out=tuple(self._examples[_Split.HELD_OUT]),
        )

    def _start_tenant(self, name: str) -> None:
        if self._tenant is not None:
            raise self._place.error("a second '# tenant' heading; give each tenant its own file")
        try:
            self._tenant = tenant_name(name)
        except InvalidRequest as error:
            raise self._place.error(error.message, error.code, **error.details) from None

    def _start_intent(self, name: str) -> None:
        if self._tenant is None:
            raise self._place.error("an intent before the '# tenant' heading")
        self._end_intent()
        self._intent = self._place.label("intent", name)
        self._split = None
        self._note_heading(self._intent)

    def _start_split(self, name: str) -> None:
        if not self._intent:
            raise self._place.error(f"'### {name:.80}' before any '## intent' heading")
        if name not in tuple(_Split):
            raise self._place.error(f"'### {name:.80}' should be '### train' or '### held out'")
        self._split = _Split(name)
        self._note_heading(self._intent, name)

    def _note_heading(self, *path: str) -> None:
        first = self._headings.setdefault(path, self._place.line)
        if first != self._place.line:
            raise self._place.error(f"{' / '.join(path)} has a heading already, on line {first}", first_line=first)

    def _end_intent(self) -> None:
        if self._intent and not any(example.intent == self._intent for example in self._examples[_Split.TRAIN]):
            raise self._place.error(f"intent {self._intent} ends here without an utterance under '### train'")

    def _add_utterance(self, marked: str) -> None:
        if self._split is None:
            raise self._place.error("an utterance needs '### train' or '### held out' above it")
        example = _marked_example(marked, self._intent, self._place)
        first = self._first_lines.setdefault(" ".join(example.text.casefold().split()), self._place.line)
        if first != self._place.line:
            raise self._place.error(f"this utterance stands on line {first} already", first_line=first)
        self._examples[self._split].append(example)


def _marked_example(marked: str, intent: str, place: _Place) -> LabelledText:
    text = ""
    entities: list[EntityAnnotation] = []
    position = 0
    for match in _ENTITY.finditer(marked):
        text += _plain(marked[position : match.start()], place)
        words, label = match.groups()
        if not words or words != words.strip():
            raise place.error(f"'{match[0]:.80}' should have words without outer spaces in its brackets")
        entities.append(EntityAnnotation(place.label("entity label", label), len(text), len(text) + len(words)))
        text += words
        position = match.end()
    text += _plain(marked[position:], place)
    return LabelledText(place.text(text), intent, tuple(entities), str(place))


def _plain(text: str, place: _Place) -> str:
    if "[" in text or "]" in text:
        raise place.error(f"square brackets only mark entities, as [words](label); see {text!r:.80}")
    return text


class _JsonModel(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class _JsonEntity(_JsonModel):
    label: str
    start: int = Field(ge=0)
    end: int


class _JsonExample(_JsonModel):
    text: str
    intent: str
    entities: tuple[_JsonEntity, ...] = ()


def _json_example(line: str, place: _Place) -> LabelledText:
    try:
        fields = _JsonExample.model_validate_json(line)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise place.error(f"{where}: {first['msg']}" if where else first["msg"], field=where) from None
    previous = 0
    entities: list[EntityAnnotation] = []
    for entity in sorted(fields.entities, key=lambda entity: entity.start):
        label = place.label("entity label", entity.label)
        if not previous <= entity.start < entity.end <= len(fields.text):
            raise place.error(
                f"entity {label} at {entity.start} to {entity.end} is empty, overlaps another or leaves the text of "
                f"{len(fields.text)} characters",
                start=entity.start,
                end=entity.end,
            )
        entities.append(EntityAnnotation(label, entity.start, entity.end))
        previous = entity.end
    intent = place.label("intent", fields.intent)
    return LabelledText(place.text(fields.text), intent, tuple(entities), str(place))
