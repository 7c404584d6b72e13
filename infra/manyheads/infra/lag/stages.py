"""Which groups are stages of ours: each requests and each embeddings topic has exactly one. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from manyheads.infra.lag.model import Stage
from manyheads.topics.names import CellName, Lane, RingName, encoder_group, head_group, parse_stage_topic


@dataclass(frozen=True, slots=True)
class GroupStage:
    """What a group of ours consumes, and where that stands in the pipeline."""

    topic: str
    ring: RingName
    cell: CellName | None
    stage: Stage
    lane: Lane


def expected_groups(topics: Iterable[str]) -> dict[str, GroupStage]:
    """By its name, the group of each stage whose input is among ``topics``."""
    groups: dict[str, GroupStage] = {}
    for topic in topics:
        parsed = parse_stage_topic(topic)
        if parsed is None:
            continue
        if parsed.cell is None:
            name, stage = encoder_group(parsed.ring, parsed.lane), Stage.ENCODER
        else:
            name = head_group(parsed.ring, parsed.cell, parsed.lane, transient=parsed.transient)
            stage = Stage.HEAD
        groups[name] = GroupStage(topic, parsed.ring, parsed.cell, stage, parsed.lane)
    return groups
