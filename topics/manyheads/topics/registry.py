"""The records of the registry topic: rings, encoders, heads and placements.

The topic is compacted: the key names the thing, the last value holds, an absent value (tombstone) deletes.
"""

from enum import StrEnum
from typing import Any, Literal

from pydantic import Field

from manyheads.topics.errors import ErrorCode, WireError
from manyheads.topics.messages import Message, WireModel
from manyheads.topics.names import Cell, Ring, RingName, Space, Tenant, TenantName, Version, VersionName
from manyheads.topics.views import ViewField


class ArtifactRef(WireModel):
    """One file of the model store, by content."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")
    """the file's role within its model, such as ``model.onnx``"""
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    bytes: int = Field(ge=0)


class RingRecord(Message):
    """A ring: which encoder is live, and its cells."""

    kind: Literal["ring"] = "ring"
    ring: Ring
    encoder: Version
    cells: tuple[Cell, ...] = Field(min_length=1)

    @property
    def key(self) -> bytes:
        return ring_key(self.ring)


class EncoderRecord(Message):
    """One version of a ring's encoder."""

    kind: Literal["encoder"] = "encoder"
    ring: Ring
    version: Version
    space: Space
    """heads that name this space can read its embeddings"""
    layers: int = Field(ge=1)
    width: int = Field(ge=1)
    views: tuple[ViewField, ...] = Field(min_length=1)
    """the views that it offers"""
    max_tokens: int = Field(ge=3)
    artifacts: tuple[ArtifactRef, ...] = Field(min_length=1)

    @property
    def key(self) -> bytes:
        return encoder_key(self.ring, self.version)


class HeadRecord(Message):
    """One version of a tenant's head."""

    kind: Literal["head"] = "head"
    ring: Ring
    tenant: Tenant
    version: Version
    space: Space
    view: ViewField
    artifact: ArtifactRef

    @property
    def key(self) -> bytes:
        return head_key(self.ring, self.tenant, self.version)


class WirePrecision(StrEnum):
    """Precision of a tenant's embeddings on the wire."""

    FLOAT32 = "float32"
    FLOAT16 = "float16"
    INT8 = "int8"


class PlacementRecord(Message):
    """Where a tenant lives and which of its heads answers."""

    kind: Literal["placement"] = "placement"
    ring: Ring
    tenant: Tenant
    cell: Cell
    head: Version | None = None
    """the active head; None answers no_active_head"""
    spread: int = Field(default=1, ge=1, le=64)
    """keys, and so partitions, that the tenant's traffic is spread over"""
    precision: WirePrecision = WirePrecision.INT8
    transient: bool = False
    """whether the tenant's embeddings are kept no longer than their delivery takes"""

    @property
    def key(self) -> bytes:
        return placement_key(self.ring, self.tenant)

    def fields(self) -> dict[str, Any]:
        fields = super().fields()
        if not self.transient:
            del fields["transient"]
        return fields


RegistryRecord = RingRecord | EncoderRecord | HeadRecord | PlacementRecord

_KINDS: dict[str, type[RegistryRecord]] = {
    "ring": RingRecord,
    "encoder": EncoderRecord,
    "head": HeadRecord,
    "placement": PlacementRecord,
}


def ring_key(ring: RingName) -> bytes:
    return f"ring/{ring}".encode()


def encoder_key(ring: RingName, version: VersionName) -> bytes:
    return f"encoder/{ring}/{version}".encode()


def head_key(ring: RingName, tenant: TenantName, version: VersionName) -> bytes:
    return f"head/{ring}/{tenant}/{version}".encode()


def placement_key(ring: RingName, tenant: TenantName) -> bytes:
    return f"placement/{ring}/{tenant}".encode()


def decode_registry_record(key: bytes | None, value: bytes | None) -> RegistryRecord:
    """The record of a key and a value.

    Raises:
        WireError: malformed_message if the key names no kind or another thing than the value;
            whatever :meth:`Message.from_bytes` raises.
    """
    kind = (key or b"").split(b"/", 1)[0].decode("utf-8", "replace")
    model = _KINDS.get(kind)
    if model is None:
        raise WireError(ErrorCode.MALFORMED_MESSAGE, f"the registry key {key!r:.80} names no kind of record")
    record = model.from_bytes(value)
    if record.key != key:
        raise WireError(
            ErrorCode.MALFORMED_MESSAGE, f"the registry key {key!r:.80} holds a record of {record.key!r:.80}"
        )
    return record
