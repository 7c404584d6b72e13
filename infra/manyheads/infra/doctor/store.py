"""The model store: does it have what the workers load, and may we read it?"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from manyheads.infra.doctor.findings import Area, Finding, counted, some
from manyheads.infra.doctor.registry import WantedArtifact
from manyheads.infra.store import ModelStore
from manyheads.topics.errors import ArtifactError, ErrorCode

STORE = Area("store")
_AT_ONCE = 16
"""a remote store answers many questions in the time of one"""


@dataclass(frozen=True, slots=True)
class Looked:
    """One artifact, looked at in the store."""

    wanted: WantedArtifact
    error: ArtifactError | None = None


def look(store: ModelStore, wanted: Sequence[WantedArtifact], *, deep: bool) -> tuple[Looked, ...]:
    """Look each artifact up: its size and its first byte, or with ``deep`` all of it. Fetches nothing into a cache."""

    def one(each: WantedArtifact) -> Looked:
        try:
            store.inspect(each.ref, deep=deep)
        except ArtifactError as error:
            return Looked(each, error)
        return Looked(each)

    unique: dict[str, WantedArtifact] = {}
    for each in wanted:
        unique.setdefault(each.ref.sha256, each)  # tenants may share a head
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        return tuple(threads.map(one, unique.values()))


def judge_store(store: str, looked: Sequence[Looked], *, deep: bool) -> Iterator[Finding]:
    """A line for what is missing, one for what is damaged, one for what is there; ``store`` is its URL."""
    for code, what in ((ErrorCode.ARTIFACT_MISSING, "cannot be read"), (ErrorCode.ARTIFACT_CORRUPT, "is damaged")):
        bad = [each for each in looked if each.error is not None and each.error.code is code]
        if not bad:
            continue
        first = bad[0]
        assert first.error is not None
        owners = some(each.wanted.owner for each in bad)
        yield STORE.fail(
            "artifacts",
            f"{len(bad):,} of {len(looked):,} {what}: {owners}; {first.error.message}",
            f"if this is not the workers' store, set MANYHEADS_STORE_URL to theirs; else {first.wanted.advice}",
        )
    there = [each.wanted.ref.bytes for each in looked if each.error is None]
    checked = "size and digest" if deep else "size"
    if there:
        seen = f"{counted(len(there), 'file')} of live encoders and active heads, {_megabytes(sum(there))}"
        yield STORE.ok("artifacts", f"{seen}, {checked} as registered, in {store}")
    elif not looked:
        yield STORE.ok("artifacts", f"{store} is there; no live encoder or active head needs a file")


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"
