"""``manyheads config``: every setting, its value, and where it comes from."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import typer
from pydantic import SecretStr
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from manyheads.infra.settings import (
    CONFIG_VARIABLE,
    Origin,
    Settings,
    SettingsFile,
    from_environment,
    is_secret,
    load_settings,
    origin_of,
    variable,
)
from manyheads.topics.errors import InvalidSettings

_MASKED = "**********"


@dataclass(frozen=True, slots=True)
class Shown:
    """One setting of one component."""

    component: str
    setting: str
    variable: str
    value: str | int | float | bool | None
    """as it was given; None: unset"""
    origin: Origin
    file: str | None
    """where it comes from a file"""
    required: bool


def components() -> dict[str, type[Settings]]:
    """The settings of every component, by what they are for."""
    from manyheads.encoder_worker.settings import EncoderWorkerSettings
    from manyheads.head_worker.settings import HeadWorkerSettings
    from manyheads.infra.dashboard.settings import DashboardSettings
    from manyheads.infra.lag.settings import LagSettings
    from manyheads.infra.settings import KafkaSettings
    from manyheads.infra.store.settings import StoreSettings

    return {
        "kafka": KafkaSettings,
        "store": StoreSettings,
        "encoder worker": EncoderWorkerSettings,
        "head worker": HeadWorkerSettings,
        "lag": LagSettings,
        "dashboard": DashboardSettings,
    }


def shown_settings(file: SettingsFile) -> list[Shown]:
    """All settings as they would be read now."""
    return [each for name, cls in components().items() for each in _of(name, cls, file)]


def problems(settings: list[Shown]) -> list[str]:
    """What is wrong with them. A component whose required settings are unset is not meant to run here."""
    found: dict[str, None] = {}
    for name, cls in components().items():
        if any(each.component == name and each.required and each.value is None for each in settings):
            continue
        try:
            load_settings(cls)
        except InvalidSettings as error:
            found[error.message] = None
    return list(found)


def run_config(*, as_json: bool) -> None:
    """Show the settings; exit with 1 if something is wrong with them. Raises InvalidSettings for an unusable file."""
    file = SettingsFile.find()
    settings = shown_settings(file)
    wrong = problems(settings)
    if as_json:
        path = None if file.path is None else str(file.path)
        print(json.dumps({"file": path, "settings": [asdict(each) for each in settings], "problems": wrong}))
    else:
        console = Console()
        console.print(_table(settings))
        read = "no file was read" if file.path is None else f"file: {file.path}"
        console.print(Text(f"  {read} ({CONFIG_VARIABLE} names one, else it is manyheads.toml, here)"))
        for message in wrong:
            console.print(Text(f"  {message}", style="bold red"))
    if wrong:
        raise typer.Exit(1)


def _of(component: str, cls: type[Settings], file: SettingsFile) -> Iterator[Shown]:
    for name, field in cls.model_fields.items():
        origin = origin_of(name, file)
        value: Any = {
            Origin.ENVIRONMENT: from_environment(name),
            Origin.FILE: file.values.get(name),
            Origin.DEFAULT: None if field.is_required() else field.default,
        }[origin]
        if value is not None and (is_secret(field) or isinstance(value, SecretStr)):
            value = _MASKED
        yield Shown(
            component=component,
            setting=name,
            variable=variable(name),
            value=value if isinstance(value, int | float | bool | None) else str(value),
            origin=origin,
            file=str(file.path) if origin is Origin.FILE else None,
            required=field.is_required(),
        )


def _table(settings: list[Shown]) -> Table:
    table = Table(box=SIMPLE_HEAD)
    for heading in ("component", "setting", "value", "from"):
        table.add_column(heading, overflow="fold")
    before = None
    for each in settings:
        if each.value is None:
            value = Text("unset, required" if each.required else "unset", style="dim")
        else:
            value = Text(str(each.value))
        origin = {Origin.ENVIRONMENT: each.variable, Origin.FILE: each.file or "", Origin.DEFAULT: "default"}
        style = "dim" if each.origin is Origin.DEFAULT else "bold"
        table.add_row(
            "" if each.component == before else each.component,
            each.setting,
            value,
            Text(origin[each.origin], style=style),
        )
        before = each.component
    return table
