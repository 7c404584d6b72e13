"""The help of a program that is configured by its environment."""

from pydantic import Field
from pydantic_settings import BaseSettings

from manyheads.infra.settings.usage import usage


class _Settings(BaseSettings):
    place: str = Field(description="where it is")
    count: int = Field(default=3, description="how many")
    comment: str | None = Field(default=None, description="anything; unset: nothing")


def test_it_names_every_variable_with_what_it_takes_and_its_default() -> None:
    text = usage("manyheads.thing", "Does a thing.", "MANYHEADS_PLACE=x python -m manyheads.thing", _Settings)
    assert text.startswith("usage: python -m manyheads.thing\n\nDoes a thing.\n")
    lines = [line.strip() for line in text.splitlines()]
    for name, described in (
        ("MANYHEADS_PLACE", "where it is (required)"),
        ("MANYHEADS_COUNT", "how many (default: 3)"),
        ("MANYHEADS_COMMENT", "anything; unset: nothing"),
    ):
        assert lines[lines.index(name) + 1] == described
    assert lines[-1] == "MANYHEADS_PLACE=x python -m manyheads.thing"
