"""Answered rows as they are written."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from manyheads.producers.answer import Answer
from manyheads.producers.reprocess.columns import RESULT_FIELDS
from manyheads.producers.reprocess.plan import Plan
from manyheads.producers.reprocess.work import Key, Outcome, Reject, rows_of, settled


@dataclass(frozen=True, slots=True)
class Written:
    """What a spilled batch becomes: answered rows, and those that were rejected."""

    answered: pa.RecordBatch
    rejected: list[Reject]


class RowWriter:
    """Makes output rows. One for a job."""

    def __init__(self, plan: Plan, *, keep_text: bool, dedupe: bool) -> None:
        self._files = [source.name for source in plan.sources]
        self._keep_text = keep_text
        self._dedupe = dedupe
        self._extras = [extra.field.name for extra in plan.extras]
        self.schema = plan.output_schema(with_text=keep_text)

    def write(self, batch: pa.RecordBatch, answers: Mapping[Key, Outcome]) -> Written:
        """The rows of a spilled batch with their answers."""
        kept: list[int] = []
        values: list[dict[str, Any]] = []
        rejected: list[Reject] = []
        for index, row in enumerate(rows_of(batch)):
            outcome = settled(row, answers, dedupe=self._dedupe)
            if isinstance(outcome, Reject):
                rejected.append(outcome)
                continue
            kept.append(index)
            values.append(
                self._result(outcome)
                | {
                    "input_file": self._files[row.file],
                    "input_row": row.number,
                    "tenant": row.tenant,
                    "text": row.text,
                }
            )
        arrays = [
            pa.array([value[field.name] for value in values], field.type)
            for field in RESULT_FIELDS
            if field.name in self.schema.names[: len(RESULT_FIELDS)]
        ]
        extras = batch.select(self._extras).take(pa.array(kept, pa.int64()))
        return Written(pa.record_batch([*arrays, *extras.columns], schema=self.schema), rejected)

    def _result(self, answer: Answer) -> dict[str, Any]:
        versions, timings = answer.versions, answer.timings
        return {
            "intent": answer.intent.name,
            "confidence": answer.intent.confidence,
            "entities": [
                {
                    "label": entity.label,
                    "text": entity.text if self._keep_text else None,
                    "start": entity.start,
                    "end": entity.end,
                    "confidence": entity.confidence,
                }
                for entity in answer.entities
            ],
            "versions": {"head": versions.head, "encoder": versions.encoder, "space": versions.space},
            "timings": {
                "encoder_queue_ms": timings.encoder.queue_ms,
                "encoder_compute_ms": timings.encoder.compute_ms,
                "head_queue_ms": timings.head.queue_ms,
                "head_compute_ms": timings.head.compute_ms,
            },
            "truncated": answer.truncated,
        }


def reject_lines(rejects: Sequence[Reject], files: Sequence[str]) -> list[dict[str, Any]]:
    """Rejected rows as JSON has them. Their text is not among it."""
    return [
        {
            "input_file": files[reject.file],
            "input_row": reject.row,
            "tenant": reject.tenant,
            "code": reject.code,
            "reason": reject.reason,
        }
        for reject in rejects
    ]
