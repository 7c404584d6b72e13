"""Running a head over records of embedding topics, from several threads, each distinct embedding once."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from queue import SimpleQueue

from manyheads.head_worker.head import Head
from manyheads.head_worker.replay.comparison import Place, Said
from manyheads.infra.kafka.records import Record
from manyheads.topics.errors import ErrorCode, ManyheadsError
from manyheads.topics.headers import Envelope, ReplyAddress
from manyheads.topics.messages import Embedding
from manyheads.topics.names import TenantName

_REMEMBERED = 200_000
"""answers; some 100 MB where all have entities"""


@dataclass(frozen=True, slots=True)
class Past:
    """An embedding that the head has read, and what it says of it."""

    place: Place
    reply: ReplyAddress
    """where its answer went then"""
    said: Said


@dataclass(frozen=True, slots=True)
class Unread:
    """An embedding that the head cannot read."""

    place: Place
    code: str
    reads: str | None = None
    """``view of space`` that it is, where that is the reason"""


class Answering:
    """What a head says of a tenant's embeddings. Thread-safe: as many threads compute at once as there are heads.

    The same text has the same embedding whoever shared its batch, so equal embeddings are read once. The head runs
    exactly as it does in a worker, text by text.

    Args:
        tenant: whose embeddings are read; those of others are unread, as tenant_mismatch.
        heads: the same head, loaded once for each thread.
    """

    def __init__(self, tenant: TenantName, heads: Sequence[Head]) -> None:
        self._tenant = tenant
        self._heads: SimpleQueue[Head] = SimpleQueue()
        for head in heads:
            self._heads.put(head)
        self._known: dict[bytes, Said] = {}
        self.runs = 0
        """times that the head ran, about: threads may count one for another"""

    def answer(self, records: Sequence[Record]) -> list[Past | Unread]:
        """One outcome for each record, in order. Waits for a head that is free."""
        head = self._heads.get()
        try:
            return [self._outcome(head, record) for record in records]
        finally:
            self._heads.put(head)

    def _outcome(self, head: Head, record: Record) -> Past | Unread:
        place = Place(record.topic, record.partition, record.offset)
        try:
            envelope = Envelope.from_headers(record.headers)
            if envelope.tenant != self._tenant:
                return Unread(place, ErrorCode.TENANT_MISMATCH)
            embedding = Embedding.from_bytes(record.value)
            if not head.reads(embedding.space, embedding.view):
                return Unread(place, ErrorCode.SPACE_MISMATCH, f"{embedding.view} of {embedding.space}")
            return Past(place, envelope.reply, self._said(head, embedding))
        except ManyheadsError as error:
            return Unread(place, error.code)

    def _said(self, head: Head, embedding: Embedding) -> Said:
        key = _content(embedding)
        said = self._known.get(key)
        if said is None:
            said = Said.of(head.answer(embedding))
            self.runs += 1
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[key] = said
        return said


def _content(embedding: Embedding) -> bytes:
    """A digest of all that a head reads; its space and view are known to be the head's."""
    tensor = embedding.tensor
    digest = sha256(f"{tensor.precision.label} {tensor.shape} {len(embedding.spans)}".encode())
    for part in (embedding.spans, embedding.shapes, tensor.scales, tensor.data):
        digest.update(part)
    return digest.digest()
