"""What could not be processed, and why."""

from collections import Counter
from dataclasses import dataclass

from manyheads.infra.dashboard import figures
from manyheads.infra.dashboard.model import Letter, Snapshot
from manyheads.infra.dashboard.views.parts import Notice, Tone
from manyheads.infra.dashboard.views.verdict import notices

MOST_ROWS = 30

LetterKey = tuple[str, int, int]
"""topic, partition and offset"""


@dataclass(frozen=True, slots=True)
class Reason:
    """How often a code stands on the letters that were read."""

    code: str
    number: str
    share: float
    """of the topic's letters, 0 to 1"""


@dataclass(frozen=True, slots=True)
class TopicCard:
    """One dead-letter topic."""

    topic: str
    count: str
    note: str
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class LetterRow:
    """One letter."""

    key: LetterKey
    code: str
    reason: str
    tenant: str
    topic: str
    when: str


@dataclass(frozen=True, slots=True)
class LettersPage:
    """The page."""

    notices: tuple[Notice, ...]
    tone: Tone
    summary: str
    topics: tuple[TopicCard, ...]
    rows: tuple[LetterRow, ...]
    shown: str
    """which letters the rows are"""
    quiet_topics: str
    """those without letters"""


def letters_page(snapshot: Snapshot) -> LettersPage:
    """All dead-letter topics; the newest letters of all of them."""
    cards, quiet = [], []
    for found in sorted(snapshot.lag.dead_letters, key=lambda each: (-each.count, each.topic)):
        if found.count == 0:
            quiet.append(found.topic)
            continue
        letters = snapshot.letters.by_topic.get(found.topic, ())
        age = None if found.newest_ms is None else max(0, snapshot.at_ms - found.newest_ms) / 1_000
        note = [f"newest {figures.ago(age)}"] if age is not None else []
        if found.rate:
            note.insert(0, figures.rate(found.rate))
        if len(letters) < found.count:
            note.append(f"reasons of the newest {figures.count(len(letters))}" if letters else "not read yet")
        cards.append(TopicCard(found.topic, figures.count(found.count), " · ".join(note), _reasons(letters)))
    read = sorted(
        (letter for letters in snapshot.letters.by_topic.values() for letter in letters),
        key=lambda letter: -letter.at_ms,
    )
    newest = read[:MOST_ROWS]
    total = sum(found.count for found in snapshot.lag.dead_letters)
    return LettersPage(
        notices=notices(snapshot),
        tone=Tone.WARN if total else Tone.LIVE,
        summary=_summary(snapshot, total),
        topics=tuple(cards),
        rows=tuple(_row(letter, snapshot.at_ms) for letter in newest),
        shown=f"{figures.count(len(newest))} of {figures.count(max(total, len(read)))}",
        quiet_topics=", ".join(sorted(quiet)),
    )


def find_letter(snapshot: Snapshot, key: LetterKey) -> Letter | None:
    """A letter that is still among those read."""
    letters = snapshot.letters.by_topic.get(key[0], ())
    return next((each for each in letters if (each.partition, each.offset) == key[1:]), None)


def _summary(snapshot: Snapshot, total: int) -> str:
    if snapshot.lag.broker is not None:
        return "Kafka does not answer, so nobody knows."
    if not snapshot.lag.dead_letters:
        return "There are no dead-letter topics: the pipeline's topics are not created yet."
    if total == 0:
        return "Nothing is dead-lettered: every record could be processed."
    letters = "record" if total == 1 else "records"
    return f"{figures.count(total)} {letters} could not be processed; each sender was told. They are kept for a week."


def _reasons(letters: tuple[Letter, ...]) -> tuple[Reason, ...]:
    counted = Counter(letter.code for letter in letters)
    return tuple(
        Reason(code, figures.count(number), number / len(letters))
        for code, number in sorted(counted.items(), key=lambda each: (-each[1], each[0]))
    )


def _row(letter: Letter, now_ms: int) -> LetterRow:
    return LetterRow(
        key=(letter.topic, letter.partition, letter.offset),
        code=letter.code,
        reason=letter.reason,
        tenant=letter.tenant or figures.UNKNOWN,
        topic=letter.topic,
        when=figures.ago(max(0, now_ms - letter.at_ms) / 1_000),
    )
