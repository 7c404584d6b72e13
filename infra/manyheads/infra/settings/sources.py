"""Where settings come from: arguments, then the environment, then a file, then their defaults."""

import os
import tomllib
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from manyheads.infra.settings.names import SETTINGS
from manyheads.topics.errors import ErrorCode, InvalidSettings

ENV_PREFIX = "MANYHEADS_"
"""Every setting of every component is an environment variable that begins with this."""

CONFIG_VARIABLE = f"{ENV_PREFIX}CONFIG"
"""Names the file; it is no setting and stands in no file."""

DEFAULT_FILE = Path("manyheads.toml")
"""Read from the working directory where :data:`CONFIG_VARIABLE` names no other."""


class Origin(StrEnum):
    """Where a setting's value comes from, the first that has it."""

    CODE = "code"
    ENVIRONMENT = "environment"
    FILE = "file"
    DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class SettingsFile:
    """A file of settings, read."""

    path: Path | None
    """None: there is none"""
    values: dict[str, Any]

    @classmethod
    def find(cls) -> "SettingsFile":
        """The file of this process, with names that exist.

        Raises:
            InvalidSettings: it cannot be read, is no TOML, or has a key that is no setting. No value is shown.
        """
        named = os.environ.get(CONFIG_VARIABLE)
        path = Path(named) if named else DEFAULT_FILE
        try:
            values = tomllib.loads(path.read_text("utf-8"))
        except FileNotFoundError:
            if not named:
                return cls(None, {})
            raise _wrong(f"{CONFIG_VARIABLE}={named!r} is wrong: there is no such file") from None
        except OSError as error:
            raise _wrong(f"{path} cannot be read: {error.strerror}") from error
        except UnicodeDecodeError:
            raise _wrong(f"{path} is no UTF-8 text: a file of settings is TOML") from None
        except tomllib.TOMLDecodeError as error:
            raise _wrong(f"{path} is no TOML: {error}") from None
        if unknown := sorted(set(values) - SETTINGS):
            raise _wrong(
                f"{path} has {', '.join(unknown)}: no such setting; `manyheads config` lists those that there are "
                "(keys stand at the top of the file, without the MANYHEADS_ of the variables)"
            )
        return cls(path, values)


class Settings(BaseSettings):
    """The base of all settings: frozen; arguments win over ``MANYHEADS_*`` variables, and these over the file."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX,
        env_ignore_empty=True,
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        protected_namespaces=(),
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """See :class:`Origin`."""
        values = SettingsFile.find().values
        own = {name: value for name, value in values.items() if name in settings_cls.model_fields}
        return init_settings, env_settings, InitSettingsSource(settings_cls, init_kwargs=own)


def variable(field: str) -> str:
    """The environment variable of a settings field: ``MANYHEADS_SASL_USERNAME`` for ``sasl_username``."""
    return f"{ENV_PREFIX}{field.upper()}"


def from_environment(field: str) -> str | None:
    """What the field's variable holds; None if it is unset or empty. Upper and lower case are the same."""
    wanted = variable(field)
    return next((value for name, value in os.environ.items() if name.upper() == wanted and value), None)


def origin_of(field: str, file: SettingsFile) -> Origin:
    """Where the value of a field comes from that is no argument."""
    if from_environment(field) is not None:
        return Origin.ENVIRONMENT
    return Origin.FILE if field in file.values else Origin.DEFAULT


def _wrong(message: str) -> InvalidSettings:
    return InvalidSettings(ErrorCode.INVALID_SETTINGS, message)
