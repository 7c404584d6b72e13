"""What a client has seen, for its user's metrics."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Counts:
    """What a client has seen since it was opened."""

    waiting: int = 0
    """calls that wait for a slot, now"""
    in_flight: int = 0
    """calls that have a slot, now"""
    opened: int = 0
    """calls that were let in"""
    answered: int = 0
    """calls that got a reply, a prediction or an error"""
    expired: int = 0
    """calls whose deadline passed first"""
    overloaded: int = 0
    """calls that were not let in, because too many waited"""
    hedged: int = 0
    """requests that were sent a second time, as their answer took long"""
    late_replies: int = 0
    """replies to calls that had expired or been cancelled"""
    duplicate_replies: int = 0
    """second replies to the same call; those to a hedged one too"""
    foreign_replies: int = 0
    """replies to other clients on the same reply partition, and to tickets"""
