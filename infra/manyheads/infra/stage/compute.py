"""A stage's compute, held to its protocol: exactly one outcome for each job, whatever the stage does."""

import logging
from collections.abc import Iterator, Sequence

from manyheads.infra.stage.work import Answer, Forward, Job, Outcome, Stage
from manyheads.infra.telemetry.logs import event
from manyheads.topics.errors import ErrorCode, InternalError, ManyheadsError

_log = logging.getLogger(__name__)


def outcomes(stage: Stage, jobs: Sequence[Job]) -> Iterator[tuple[int, Outcome]]:
    """(index, outcome) for every job, each as soon as the stage yields it.

    A job gets ``internal`` if the stage raises before it is done with it, ends without it, or yields something else
    than an outcome. A second outcome of a job is dropped. All of it is logged.
    """
    open_jobs = set(range(len(jobs)))
    reason = f"the {stage.name} stage gave no outcome for this request"
    try:
        for index, outcome in stage.process(jobs):
            if index not in open_jobs:
                event(_log, "outcome_dropped", level=logging.ERROR, stage=stage.name, index=index, jobs=len(jobs))
                continue
            if not isinstance(outcome, Forward | Answer | ManyheadsError):
                kind = type(outcome).__name__
                event(_log, "outcome_invalid", level=logging.ERROR, stage=stage.name, index=index, type=kind)
                outcome = InternalError(ErrorCode.INTERNAL, f"the {stage.name} stage yielded {kind}, no outcome")  # noqa: PLW2901
            open_jobs.remove(index)
            yield index, outcome
    except Exception as error:
        # A defect of the stage. What it was doing may hold tenants' text, so the reply names the type alone.
        reason = f"the {stage.name} stage failed with {type(error).__name__}; its log has the traceback"
        event(_log, "stage_failed", level=logging.ERROR, exc_info=True, stage=stage.name, jobs=len(open_jobs))
    else:
        if open_jobs:
            event(_log, "outcomes_missing", level=logging.ERROR, stage=stage.name, jobs=len(open_jobs))
    for index in sorted(open_jobs):
        yield index, InternalError(ErrorCode.INTERNAL, reason)
