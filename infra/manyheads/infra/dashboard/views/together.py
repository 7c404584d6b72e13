"""Several groups as one: those that serve one lane of one stage."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from manyheads.infra.dashboard.history import GroupPast, Points
from manyheads.infra.lag.model import GroupLag


def together(groups: Sequence[GroupLag]) -> GroupLag:
    """The worst of them, with the lag of all and the longest times of any. There is one at least."""
    worst = max(groups, key=lambda group: (group.state.severity, group.lag))
    return replace(
        worst,
        lag=sum(group.lag for group in groups),
        oldest_age_s=max((group.oldest_age_s for group in groups if group.oldest_age_s is not None), default=None),
        eta_s=max((group.eta_s for group in groups if group.eta_s is not None), default=None),
    )


def past_together(past: Sequence[GroupPast]) -> GroupPast | None:
    """Their last 15 minutes, without the partitions; None of none."""
    if not past:
        return None
    return GroupPast(
        lag=combined([each.lag for each in past], sum),
        oldest_age_s=combined([each.oldest_age_s for each in past], max),
        arrival_rate=combined([each.arrival_rate for each in past], sum),
        completion_rate=combined([each.completion_rate for each in past], sum),
        eta_s=combined([each.eta_s for each in past], max),
        partitions={},
    )


def combined(past: Sequence[Points], combine: Callable[[list[float]], float]) -> Points:
    """One value of each slot, of those that are known."""
    slots = ([value for value in values if value is not None] for values in zip(*past, strict=True))
    return tuple(combine(known) if known else None for known in slots)
