"""The encoders that the command line can build; known before what builds them is imported."""

from enum import StrEnum


class EncoderKind(StrEnum):
    """Which weights an encoder is built from."""

    MINILM = "minilm"
    RANDOM = "random-6x768"
