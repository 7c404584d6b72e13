"""Loading a settings class, so that whatever is wrong names where it stands and never shows a secret."""

import re
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar, get_args

from pydantic import SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, SettingsError

from manyheads.infra.settings.sources import Origin, SettingsFile, origin_of, variable
from manyheads.topics.errors import ErrorCode, InvalidSettings

_SettingsT = TypeVar("_SettingsT", bound=BaseSettings)
_SHOWN_CHARACTERS = 80


def load_settings(cls: type[_SettingsT], **overrides: object) -> _SettingsT:
    """Read ``cls`` from the environment and the file of settings; ``overrides`` win over both.

    A class derives from :class:`Settings` and gives every field a ``description`` that completes "it takes ...": the
    error of a wrong value quotes it.

    Raises:
        InvalidSettings: a value is missing or wrong, an override is no field of ``cls``, or the file is unusable. The
            message names each such variable or key and what it takes; the values of secrets are never shown.
    """
    arguments: dict[str, Any] = overrides
    try:
        return cls(**arguments)
    except ValidationError as error:
        place = partial(_place, overrides=frozenset(overrides))
        problems = [_problem(cls, detail, place) for detail in error.errors(include_url=False, include_context=False)]
    except SettingsError as error:  # a source could not parse a value that should be JSON
        problems = [_unparsed(cls, error)]
    # Raised outside the handlers: pydantic's own error holds the values, secrets included, and must not be chained.
    raise InvalidSettings(ErrorCode.INVALID_SETTINGS, "; ".join(problems), problems=len(problems))


def _problem(cls: type[BaseSettings], detail: ErrorDetails, place: Callable[[str], str]) -> str:
    if not detail["loc"]:  # a rule over several fields, which names its variables itself
        return detail["msg"]
    name = str(detail["loc"][0])
    field = cls.model_fields.get(name)
    if field is None:
        return f"{cls.__name__} has no setting {name!r}; it has {', '.join(sorted(cls.model_fields))}"
    takes = f"it takes {field.description}" if field.description else detail["msg"]
    if detail["type"] == "missing":
        return f"{variable(name)} is not set: {takes}"
    if is_secret(field):
        return f"{place(name)} is wrong: {takes}"
    shown = str(detail["input"])
    shown = shown if len(shown) <= _SHOWN_CHARACTERS else f"{shown[: _SHOWN_CHARACTERS - 3]}..."
    return f"{place(name)}={shown!r} is wrong: {takes}"


def _place(name: str, overrides: frozenset[str]) -> str:
    """What to correct: the key of the file where the value is from there, else the variable."""
    file = SettingsFile.find()
    if name not in overrides and origin_of(name, file) is Origin.FILE:
        return f"{file.path}: {name}"
    return variable(name)


def _unparsed(cls: type[BaseSettings], error: SettingsError) -> str:
    # The error carries the field in its text only.
    match = re.search(r'field "(\w+)"', str(error))
    field = cls.model_fields.get(match[1]) if match else None
    if match is None or field is None:
        return str(error)
    return f"{variable(match[1])} is wrong: it takes {field.description or 'JSON'}"


def is_secret(field: FieldInfo) -> bool:
    """Whether the values of a field are never shown."""
    return SecretStr in (field.annotation, *get_args(field.annotation))
