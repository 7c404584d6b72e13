"""Which texts share a run of the encoder."""

from collections.abc import Sequence


def plan_runs(lengths: Sequence[int], tokens_per_run: int) -> list[list[int]]:
    """Indices of texts grouped into runs: shortest first, similar lengths together, no run above the budget.

    Attention pads the texts of a run to the longest, so neighbours in length waste little. A text that is longer
    than the budget has a run of its own.
    """
    runs: list[list[int]] = []
    tokens = tokens_per_run + 1
    for index in sorted(range(len(lengths)), key=lengths.__getitem__):
        tokens += lengths[index]
        if tokens > tokens_per_run:
            runs.append([])
            tokens = lengths[index]
        runs[-1].append(index)
    return runs
