"""Hypothesis strategies for everything that the contract puts on the wire."""

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from manyheads.topics import names
from manyheads.topics.arrays import to_tensor
from manyheads.topics.errors import ErrorCode, ManyheadsError, error_for
from manyheads.topics.headers import DeadLetterReason, Envelope, ReplyAddress, Target
from manyheads.topics.messages import (
    Embedding,
    EntitySpan,
    Failure,
    Intent,
    Message,
    Prediction,
    Reply,
    Request,
    SharedRequest,
    StageTiming,
    Timings,
    Truncation,
    Versions,
)
from manyheads.topics.registry import (
    ArtifactRef,
    EncoderRecord,
    HeadRecord,
    PlacementRecord,
    RegistryRecord,
    RingRecord,
    WirePrecision,
)
from manyheads.topics.spans import Span, pack_spans
from manyheads.topics.tensor import Precision
from manyheads.topics.views import Rows, View

texts = st.text(st.characters(codec="utf-8"), max_size=200)
_names = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", fullmatch=True)
_versions = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,62}", fullmatch=True)
ring_names = _names.map(names.ring)
cell_names = _names.map(names.cell)
tenant_names = _names.map(names.tenant)
version_names = _versions.map(names.version)
space_names = _versions.map(names.space)

views = st.builds(
    View,
    st.sampled_from(Rows),
    st.sets(st.integers(1, 999), min_size=1, max_size=6).map(lambda layers: tuple(sorted(layers))),
)


def floats32(shape: tuple[int, ...] | st.SearchStrategy[tuple[int, ...]]) -> st.SearchStrategy[np.ndarray]:
    """Finite float32 arrays."""
    return hnp.arrays(np.float32, shape, elements=st.floats(width=32, allow_nan=False, allow_infinity=False))


shapes = hnp.array_shapes(min_dims=1, max_dims=4, min_side=1, max_side=6)


@st.composite
def span_lists(draw: st.DrawFn, count: int | None = None) -> list[Span]:
    """Spans that rise and do not overlap, within a text."""
    size = draw(st.integers(0, 250)) if count is None else count
    cuts = sorted(draw(st.lists(st.integers(0, 8_192), min_size=2 * size, max_size=2 * size)))
    return list(zip(cuts[::2], cuts[1::2], strict=True))


milliseconds = st.integers(0, 10**12).map(lambda microseconds: microseconds / 1000)
timings = st.builds(StageTiming, queue_ms=milliseconds, compute_ms=milliseconds)
truncations = st.builds(Truncation, tokens=st.integers(1, 10**6), kept=st.integers(1, 250))
requests = st.builds(Request, text=texts) | st.builds(SharedRequest, text=texts)


@st.composite
def embeddings(draw: st.DrawFn) -> Embedding:
    """Embeddings whose tensor, spans and shapes agree."""
    view = draw(views)
    rows = 1 if view.rows is Rows.POOLED else draw(st.integers(1, 8))
    array = draw(floats32((rows, draw(st.integers(1, 8)))))
    pooled = view.rows is Rows.POOLED
    return Embedding(
        space=draw(space_names),
        encoder=draw(version_names),
        view=view,
        tensor=to_tensor(array, draw(st.sampled_from(Precision))),
        spans=b"" if pooled else pack_spans(draw(span_lists(rows))),
        shapes=b"" if pooled else draw(st.binary(min_size=rows, max_size=rows)),
        timing=draw(timings),
        truncation=draw(st.none() | truncations),
    )


confidences = st.floats(0, 1)
intents = st.builds(Intent, name=texts, confidence=confidences)


@st.composite
def entities(draw: st.DrawFn) -> EntitySpan:
    """Entities of one character at least."""
    start, end = sorted(draw(st.sets(st.integers(0, 8_192), min_size=2, max_size=2)))
    return EntitySpan(label=draw(texts), start=start, end=end, confidence=draw(confidences))


versions = st.builds(Versions, head=version_names, encoder=version_names, space=space_names)
predictions = st.builds(
    Prediction,
    intents=st.lists(intents, min_size=1, max_size=10).map(tuple),
    entities=st.lists(entities(), max_size=5).map(tuple),
    versions=versions,
    timings=st.builds(Timings, encoder=timings, head=timings),
    truncation=st.none() | truncations,
)

# Whatever code puts into an error, within its type: surrogates, numbers beyond 64 bits, texts without end.
details = st.dictionaries(
    st.text(st.characters(codec="ascii"), max_size=20),
    st.none() | st.booleans() | st.integers() | st.integers(-(2**200), 2**200) | st.floats(allow_nan=False) | st.text(),
    max_size=5,
)
errors: st.SearchStrategy[ManyheadsError] = st.builds(
    error_for, st.sampled_from(ErrorCode), st.text() | st.just("long " * 1_000), details
)
replies = st.builds(Reply, prediction=predictions) | st.builds(Reply, failure=errors.map(Failure.of))
messages: st.SearchStrategy[Message] = requests | embeddings() | replies

artifacts = st.builds(
    ArtifactRef,
    name=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", fullmatch=True),
    sha256=st.from_regex(r"[0-9a-f]{64}", fullmatch=True),
    bytes=st.integers(0, 2**40),
)
placements = st.builds(
    PlacementRecord,
    ring=ring_names,
    tenant=tenant_names,
    cell=cell_names,
    head=st.none() | version_names,
    spread=st.integers(1, 64),
    precision=st.sampled_from(WirePrecision),
)
registry_records: st.SearchStrategy[RegistryRecord] = (
    st.builds(RingRecord, ring=ring_names, encoder=version_names, cells=st.lists(cell_names, min_size=1).map(tuple))
    | st.builds(
        EncoderRecord,
        ring=ring_names,
        version=version_names,
        space=space_names,
        layers=st.integers(1, 48),
        width=st.integers(1, 4_096),
        views=st.lists(views, min_size=1, max_size=4).map(tuple),
        max_tokens=st.integers(3, 250),
        artifacts=st.lists(artifacts, min_size=1, max_size=4).map(tuple),
    )
    | st.builds(
        HeadRecord,
        ring=ring_names,
        tenant=tenant_names,
        version=version_names,
        space=space_names,
        view=views,
        artifact=artifacts,
    )
    | placements
)

reply_addresses = st.builds(
    ReplyAddress,
    correlation_id=st.binary(min_size=1, max_size=64),
    topic=st.from_regex(r"[a-zA-Z0-9._-]{1,249}", fullmatch=True),
    partition=st.none() | st.integers(0, 2**31 - 1),
)
traceparents = st.from_regex(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}", fullmatch=True)
traces: st.SearchStrategy[dict[str, str]] = st.just({}) | st.fixed_dictionaries(
    {"traceparent": traceparents}, optional={"tracestate": st.from_regex(r"[\x20-\x7e]{1,512}", fullmatch=True)}
)
targets = st.builds(Target, tenant=tenant_names, correlation_id=st.binary(min_size=1, max_size=64))
envelopes = st.builds(
    lambda trace, **others: Envelope(**others, **trace),
    traces,
    tenant=tenant_names,
    reply=reply_addresses,
    deadline_ms=st.none() | st.integers(0, 10**15 - 1),
    requested_ms=st.none() | st.integers(0, 10**15 - 1),
    further=st.lists(targets, max_size=4).map(tuple),
)
reasons = st.builds(
    DeadLetterReason,
    topic=st.from_regex(r"[a-zA-Z0-9._-]{1,249}", fullmatch=True),
    partition=st.integers(0, 2**31 - 1),
    offset=st.integers(0, 2**63 - 1),
    code=st.sampled_from(ErrorCode).map(str),
    message=texts,
)
