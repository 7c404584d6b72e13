"""What a program that is configured without arguments says under ``--help``."""

from textwrap import indent, wrap

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

from manyheads.infra.settings.sources import CONFIG_VARIABLE, DEFAULT_FILE, variable

_WIDTH = 100
_CONFIGURED = (
    f"It is configured by environment variables; what they leave out may stand in {DEFAULT_FILE},\n"
    f"or the file that {CONFIG_VARIABLE} names, by the same names in lower case, without MANYHEADS_:"
)


def usage(module: str, purpose: str, example: str, *classes: type[BaseSettings]) -> str:
    """The help of ``python -m module``: every variable of the settings classes, what it takes and its default."""
    parts = [f"usage: python -m {module}\n\n{purpose}\n\n{_CONFIGURED}\n"]
    for cls in classes:
        parts += [_described(name, field) for name, field in cls.model_fields.items()]
    parts.append(f"\nexample:\n{indent(example, '  ')}\n")
    return "\n".join(parts)


def _described(name: str, field: FieldInfo) -> str:
    text = field.description or ""
    if field.is_required():
        text += " (required)"
    elif field.default is not None:
        text += f" (default: {field.default})"
    return f"  {variable(name)}\n" + indent("\n".join(wrap(text, _WIDTH)), " " * 6)
