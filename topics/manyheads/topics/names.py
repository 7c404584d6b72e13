"""The names that the whole pipeline shares: rings, cells, tenants, versions, lanes and topics.

A name travels in topic names, metric labels, file names and record keys, so one pattern holds for all of them:
lower-case letters, digits and inner dashes, at most 63 characters.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Annotated, NewType

from pydantic import AfterValidator, WithJsonSchema

from manyheads.topics.errors import ErrorCode, InvalidRequest

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_VERSION = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._+-]{0,62})?")


_NAMES_REMEMBERED = 10_000
_TAKES = {
    _NAME: "1 to 63 lower-case letters, digits and inner dashes",
    _VERSION: "1 to 63 letters, digits, dots, dashes, underscores and plus signs, the first a letter or digit",
}


def _checked(kind: str, text: str, pattern: re.Pattern[str]) -> str:
    if not isinstance(text, str) or not pattern.fullmatch(text):
        raise InvalidRequest(
            ErrorCode.INVALID_NAME, f"{text!r:.80} is no {kind} name: use {_TAKES[pattern]}", kind=kind
        )
    return text


RingName = NewType("RingName", str)
CellName = NewType("CellName", str)
TenantName = NewType("TenantName", str)
VersionName = NewType("VersionName", str)
SpaceName = NewType("SpaceName", str)


def ring(text: str) -> RingName:
    """A checked ring name, such as ``en``. Raises InvalidRequest(invalid_name)."""
    return RingName(_checked("ring", text, _NAME))


def cell(text: str) -> CellName:
    """A checked cell name, such as ``c0``. Raises InvalidRequest(invalid_name)."""
    return CellName(_checked("cell", text, _NAME))


def tenant(text: str) -> TenantName:
    """A checked tenant name, such as ``acme-bank``. Raises InvalidRequest(invalid_name)."""
    return TenantName(_checked("tenant", text, _NAME))


def version(text: str) -> VersionName:
    """A checked version of a head or an encoder, such as ``20261121-3f9a``. Raises InvalidRequest(invalid_name)."""
    return VersionName(_checked("version", text, _VERSION))


def space(text: str) -> SpaceName:
    """A checked name of an embedding space, such as ``minilm-l6-v2``. Raises InvalidRequest(invalid_name)."""
    return SpaceName(_checked("embedding space", text, _VERSION))


def _validator(check: object) -> AfterValidator:
    def validate(text: str) -> str:
        try:
            return check(text)  # type: ignore[operator, no-any-return]
        except InvalidRequest as error:
            raise ValueError(str(error)) from error  # pydantic collects ValueErrors only

    # A process sees few names, but each in every message.
    return AfterValidator(lru_cache(_NAMES_REMEMBERED)(validate))


def _schema(pattern: re.Pattern[str]) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": f"^{pattern.pattern}$"})


# The same names as fields of pydantic models.
Ring = Annotated[RingName, _validator(ring), _schema(_NAME)]
Cell = Annotated[CellName, _validator(cell), _schema(_NAME)]
Tenant = Annotated[TenantName, _validator(tenant), _schema(_NAME)]
Version = Annotated[VersionName, _validator(version), _schema(_VERSION)]
Space = Annotated[SpaceName, _validator(space), _schema(_VERSION)]


class Lane(StrEnum):
    """Two sets of topics, so that reprocessing never delays live traffic."""

    INTERACTIVE = "interactive"
    BATCH = "batch"


PREFIX = "nlu"
REPLIES_TOPIC = f"{PREFIX}.replies"
REGISTRY_TOPIC = f"{PREFIX}.registry"
TELEMETRY_TOPIC = f"{PREFIX}.telemetry"
DEAD_LETTER_SUFFIX = "-dlt"
_JOBS_PREFIX = f"{PREFIX}.jobs."
_LANE_SUFFIX = {Lane.INTERACTIVE: "", Lane.BATCH: ".batch"}
_TRANSIENT_SUFFIX = {False: "", True: ".transient"}


def requests_topic(ring: RingName, lane: Lane = Lane.INTERACTIVE) -> str:
    """Where producers send: ``nlu.<ring>.requests[.batch]``."""
    return f"{PREFIX}.{ring}.requests{_LANE_SUFFIX[lane]}"


def embeddings_topic(ring: RingName, cell: CellName, lane: Lane = Lane.INTERACTIVE, *, transient: bool = False) -> str:
    """Where the encoder stage publishes, keyed by tenant: ``nlu.<ring>.<cell>.embeddings[.transient][.batch]``.

    The transient ones are those of tenants whose embeddings are kept no longer than their delivery takes.
    """
    return f"{PREFIX}.{ring}.{cell}.embeddings{_TRANSIENT_SUFFIX[transient]}{_LANE_SUFFIX[lane]}"


def dead_letter_topic(topic: str) -> str:
    """Where what could not be processed of ``topic`` is kept, with its reason."""
    return f"{topic}{DEAD_LETTER_SUFFIX}"


def encoder_group(ring: RingName, lane: Lane = Lane.INTERACTIVE) -> str:
    """The consumer group of a ring's encoder stage."""
    return f"{PREFIX}.{ring}.encoder{_LANE_SUFFIX[lane]}"


def head_group(ring: RingName, cell: CellName, lane: Lane = Lane.INTERACTIVE, *, transient: bool = False) -> str:
    """The consumer group of a cell's head stage: one for each of its topics."""
    return f"{PREFIX}.{ring}.{cell}.head{_TRANSIENT_SUFFIX[transient]}{_LANE_SUFFIX[lane]}"


def job(text: str) -> str:
    """A checked name of a bulk job, such as ``october``. Raises InvalidRequest(invalid_name)."""
    return _checked("job", text, _NAME)


def job_topic(job: str) -> str:
    """A bulk job's memory: its plan and what is done."""
    return f"{_JOBS_PREFIX}{job}.log"


def is_job_topic(topic: str) -> bool:
    """Whether a topic is a bulk job's."""
    return topic.startswith(_JOBS_PREFIX)


def job_group(job: str) -> str:
    """The consumer group of the processes that share a bulk job."""
    return f"manyheads.job.{job}"


@dataclass(frozen=True, slots=True)
class StageTopic:
    """What the name of a stage's input topic says. ``cell`` is None for a requests topic."""

    ring: RingName
    cell: CellName | None
    lane: Lane
    transient: bool = False


@lru_cache(_NAMES_REMEMBERED)
def parse_stage_topic(topic: str) -> StageTopic | None:
    """The ring, cell and lane of a requests or embeddings topic; None for any other name."""
    parts = topic.split(".")
    lane = Lane.INTERACTIVE
    if parts[-1] == "batch":
        lane = Lane.BATCH
        parts = parts[:-1]
    transient = parts[-1:] == ["transient"]
    match parts[:-1] if transient else parts:
        case [prefix, ring_part, "requests"] if prefix == PREFIX and _NAME.fullmatch(ring_part) and not transient:
            return StageTopic(RingName(ring_part), None, lane)
        case [prefix, ring_part, cell_part, "embeddings"] if (
            prefix == PREFIX and _NAME.fullmatch(ring_part) and _NAME.fullmatch(cell_part)
        ):
            return StageTopic(RingName(ring_part), CellName(cell_part), lane, transient)
    return None
