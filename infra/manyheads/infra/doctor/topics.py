"""The topics, against the catalogue and against what the brokers could do."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from manyheads.infra.doctor.findings import Area, Finding, counted, some
from manyheads.infra.doctor.partitions import Topic
from manyheads.topics.catalogue import TopicSpec
from manyheads.topics.names import TELEMETRY_TOPIC, CellName, RingName, parse_stage_topic

TOPICS = Area("topics")
_WITHOUT_THEM_NOTHING_WORKS = frozenset({"cleanup.policy", "max.message.bytes"})
"""records that are lost or refused; any other setting is about for how long, or how well"""
_ENOUGH_TO_AGREE = 3


def judge_topics(whose: str, specs: Sequence[TopicSpec], found: Mapping[str, Topic], create: str) -> Iterator[Finding]:
    """A line for each topic that differs from the catalogue, one for all others; ``create`` is the command."""
    good = 0
    for spec in specs:
        topic = found.get(spec.name)
        if topic is None:
            make = TOPICS.warn if spec.name == TELEMETRY_TOPIC else TOPICS.fail
            yield make(spec.name, "missing", f"create it: {create}")
            continue
        findings = list(_differences(spec, topic, create))
        yield from findings
        good += not findings
    if good:
        yield TOPICS.ok(whose, f"{good} of {counted(len(specs), 'topic')} as they should be")


def _differences(spec: TopicSpec, topic: Topic, create: str) -> Iterator[Finding]:
    if topic.partitions < spec.partitions:
        yield TOPICS.warn(
            spec.name,
            f"{counted(topic.partitions, 'partition')}, {spec.partitions} wanted: no more workers can share it",
            f"add them: {create}",
        )
    wrong = {name: value for name, value in spec.settings.items() if topic.settings.get(name) != value}
    if wrong:
        seen = ", ".join(
            f"{name}={topic.settings.get(name, 'unset')} ({value} wanted)" for name, value in wrong.items()
        )
        make = TOPICS.fail if wrong.keys() & _WITHOUT_THEM_NOTHING_WORKS else TOPICS.warn
        yield make(spec.name, seen, f"correct it: {create}")


def judge_copies(topics: Iterable[Topic], brokers: int) -> Iterator[Finding]:
    """Whether a broker may be lost, and whether writes can be acknowledged at all."""
    topics = tuple(topics)
    if not topics:
        return
    single = [topic.name for topic in topics if topic.replicas < 2]
    if brokers > 1 and single:
        yield TOPICS.warn(
            "copies",
            f"{counted(len(single), 'topic')} with one copy on a cluster of {brokers} brokers: {some(single)}",
            f"a lost broker takes their records with it: manyheads topics replicate {min(brokers, _ENOUGH_TO_AGREE)}",
        )
    yield from _judge_in_sync([topic for topic in topics if topic.settings])
    if brokers == 1:
        yield TOPICS.ok("copies", "one of each, which is all that one broker can have")
    elif not single:
        fewest = min(topic.replicas for topic in topics)
        yield TOPICS.ok("copies", f"at least {fewest} of each on {brokers} brokers")


def _judge_in_sync(topics: Sequence[Topic]) -> Iterator[Finding]:
    impossible = [topic.name for topic in topics if _in_sync(topic) > topic.replicas]
    all_needed = [topic.name for topic in topics if _in_sync(topic) == topic.replicas > 1]
    one_is_enough = [topic.name for topic in topics if _in_sync(topic) == 1 and topic.replicas >= _ENOUGH_TO_AGREE]
    setting = "min.insync.replicas"
    if impossible:
        yield TOPICS.fail(
            setting,
            f"more than there are copies: {some(impossible)}",
            "every write is refused: lower it, or add copies",
        )
    if all_needed:
        yield TOPICS.warn(
            setting,
            f"as many as there are copies: {some(all_needed)}",
            "writes stop when any one broker does: set it to one less than the copies",
        )
    if one_is_enough:
        yield TOPICS.warn(
            setting,
            f"1 where there are {_ENOUGH_TO_AGREE} copies: {some(one_is_enough)}",
            "a record that was acknowledged is lost if its one broker is: set it to 2",
        )


def _in_sync(topic: Topic) -> int:
    return int(topic.settings.get("min.insync.replicas", "1"))


def cells_of(ring: RingName, names: Iterable[str]) -> tuple[CellName, ...]:
    """The cells that the topics of a ring name."""
    parsed = [parse_stage_topic(name) for name in names]
    return tuple(sorted({each.cell for each in parsed if each and each.ring == ring and each.cell}))


def rings_of(names: Iterable[str]) -> tuple[RingName, ...]:
    """The rings that topics name."""
    return tuple(sorted({each.ring for name in names if (each := parse_stage_topic(name)) is not None}))
