"""Running a head over records of embedding topics, from several threads, each distinct embedding once."""

from collections.abc import Mapping, Sequence
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


@dataclass(frozen=True, slots=True)
class _Read:
    """An embedding that the head is asked about, unless it has been asked before."""

    place: Place
    reply: ReplyAddress
    embedding: Embedding
    key: bytes

    def outcome(self, said: Said | ErrorCode) -> Past | Unread:
        return Past(self.place, self.reply, said) if isinstance(said, Said) else Unread(self.place, said)


class Answering:
    """What a head says of a tenant's embeddings. Thread-safe: as many threads compute at once as there are heads.

    The same text has the same embedding whoever shared its batch, so equal embeddings are read once. The head answers
    exactly as it does in a worker.

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
        """embeddings that the head was run on, about: threads may count one for another"""

    def answer(self, records: Sequence[Record]) -> list[Past | Unread]:
        """One outcome for each record, in order. Waits for a head that is free."""
        head = self._heads.get()
        try:
            read = [self._read(head, record) for record in records]
            said = self._say(head, {each.key: each.embedding for each in read if isinstance(each, _Read)})
        finally:
            self._heads.put(head)
        return [each.outcome(said[each.key]) if isinstance(each, _Read) else each for each in read]

    def _read(self, head: Head, record: Record) -> _Read | Unread:
        place = Place(record.topic, record.partition, record.offset)
        try:
            envelope = Envelope.from_headers(record.headers)
            if envelope.tenant != self._tenant:
                return Unread(place, ErrorCode.TENANT_MISMATCH)
            embedding = Embedding.from_bytes(record.value)
            if not head.reads(embedding.space, embedding.view):
                return Unread(place, ErrorCode.SPACE_MISMATCH, f"{embedding.view} of {embedding.space}")
        except ManyheadsError as error:
            return Unread(place, error.code)
        return _Read(place, envelope.reply, embedding, _content(embedding))

    def _say(self, head: Head, embeddings: Mapping[bytes, Embedding]) -> Mapping[bytes, Said | ErrorCode]:
        """What the head says of each, or the code of the error that it deserves."""
        said: dict[bytes, Said | ErrorCode] = {}
        new: list[bytes] = []
        for key in embeddings:
            known = self._known.get(key)
            if known is None:
                new.append(key)
            else:
                said[key] = known
        for place, output in head.predict([embeddings[key] for key in new]):
            if isinstance(output, ManyheadsError):
                said[new[place]] = output.code
                continue
            said[new[place]] = self._known[new[place]] = Said.of(output)
            self.runs += 1
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        return said


def _content(embedding: Embedding) -> bytes:
    """A digest of all that a head reads; its space and view are known to be the head's."""
    tensor = embedding.tensor
    digest = sha256(f"{tensor.precision.label} {tensor.shape} {len(embedding.spans)}".encode())
    for part in (embedding.spans, embedding.shapes, tensor.scales, tensor.data):
        digest.update(part)
    return digest.digest()
