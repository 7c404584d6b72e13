"""What to tell of a job: how far it is, and what it came to."""

from collections.abc import Iterable
from dataclasses import dataclass

from manyheads.producers.reprocess.job_log import BucketCounts


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job is, whoever does it. Rows of buckets under way are counted for this process alone."""

    rows: int
    """of the job"""
    done: int
    """rows whose outcome is known"""
    rejected: int
    buckets: int
    buckets_done: int
    waiting: int
    """answers that this process waits for"""
    again: int
    """answers that this process asked for once more"""


@dataclass(frozen=True, slots=True)
class Summary:
    """What a job came to, in all processes together."""

    job: str
    rows: int
    rejected: int
    texts: int
    """distinct ones"""
    pairs: int
    """distinct pairs of tenant and text"""
    sent: int
    """requests of this process"""
    seconds: float
    """of this process"""
    output: str
    rejects_file: str | None

    @classmethod
    def of(
        cls, job: str, buckets: Iterable[BucketCounts], *, sent: int, seconds: float, output: str, rejects: str | None
    ) -> "Summary":
        """The sum over all buckets."""
        counts = tuple(buckets)
        return cls(
            job=job,
            rows=sum(each.rows for each in counts),
            rejected=sum(each.rejected for each in counts),
            texts=sum(each.texts for each in counts),
            pairs=sum(each.pairs for each in counts),
            sent=sent,
            seconds=seconds,
            output=output,
            rejects_file=rejects,
        )
