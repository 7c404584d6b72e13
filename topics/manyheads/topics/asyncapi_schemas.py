"""JSON schemas of the record values, for the AsyncAPI document: from the models, as they stand on the wire.

JSON Schema draft 7, which AsyncAPI 3 has by default. msgpack has two types that JSON lacks: binaries and extensions.
Both stand as Base64 text in the values that these schemas describe, and ``x-msgpack`` says which of the two it is.
"""

import ast
import inspect
import re
from collections.abc import Sequence
from itertools import pairwise
from textwrap import dedent
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, models_json_schema

from manyheads.topics.errors import ErrorCode
from manyheads.topics.limits import MAX_TENSOR_DIMENSIONS, MAX_TENSOR_ELEMENTS, MAX_TEXT_CHARACTERS
from manyheads.topics.messages import Message
from manyheads.topics.tensor import TENSOR_EXT_TYPE, Precision, Tensor

Schema = dict[str, Any]

_REFERENCE = "#/components/schemas/{model}"
_ROLE = re.compile(r":[a-z]+:`~?(?:[\w.]*\.)?(\w+)`")


def payload_schemas(models: Sequence[type[Message]]) -> dict[str, Schema]:
    """The schema of each model and of all that it is made of, by name, with references as AsyncAPI has them."""
    _, found = models_json_schema(
        [(model, "serialization") for model in models], ref_template=_REFERENCE, schema_generator=_WireSchemas
    )
    schemas: dict[str, Schema] = found["$defs"]
    for model in models:
        if "text" in model.model_fields:
            schemas[model.__name__]["properties"]["text"] |= {"minLength": 1, "maxLength": MAX_TEXT_CHARACTERS}
    for name in schemas.keys() & _KNOWN_BETTER.keys():
        schemas[name] |= _KNOWN_BETTER[name]
    if "Failure" in schemas:
        schemas["Failure"]["properties"]["code"] = reference("ErrorCode")
        schemas["ErrorCode"] = _error_code()
    return dict(sorted(schemas.items()))


def binary(what: str, **more: object) -> Schema:
    """The schema of a msgpack binary or of a header that is no text."""
    return {"type": "string", "contentEncoding": "base64", "x-msgpack": "bin", "description": what, **more}


def reference(name: str) -> Schema:
    """What stands where the schema ``name`` is meant."""
    return {"$ref": _REFERENCE.format(model=name)}


def cleaned(docstring: str) -> str:
    """A docstring as Markdown, its lines joined."""
    paragraphs = dedent(_ROLE.sub(r"`\1`", docstring)).replace("``", "`").strip().split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


class _WireSchemas(GenerateJsonSchema):
    """Pydantic's generator, for msgpack: fields that are None stay away, and docstrings describe.

    The schemas that its methods are given are those of pydantic's core.
    """

    def model_schema(self, schema: Any) -> JsonSchemaValue:
        model = schema["cls"]
        made = super().model_schema(schema)
        properties = made["properties"]
        docstrings = _field_docstrings(model)
        for name, info in model.model_fields.items():
            if name in docstrings:
                shown = properties[info.alias or name]
                # Draft 7 ignores whatever stands beside a reference.
                described = {"allOf": [shown]} if "$ref" in shown else shown
                properties[info.alias or name] = described | {"description": docstrings[name]}
        if issubclass(model, Message):
            version = {"const": model.SCHEMA_VERSION, "description": "the schema version"}
            made["properties"] = {"v": version} | properties
            made["required"] = ["v", *made.get("required", ())]
        return made | {"description": cleaned(model.__doc__ or "")}

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def nullable_schema(self, schema: Any) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: Any) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def bytes_schema(self, schema: Any) -> JsonSchemaValue:
        return {"type": "string", "contentEncoding": "base64", "x-msgpack": "bin"}

    def dataclass_schema(self, schema: Any) -> JsonSchemaValue:
        return dict(_TENSOR) if schema["cls"] is Tensor else super().dataclass_schema(schema)


def _field_docstrings(model: type) -> dict[str, str]:
    """What stands in quotes below each field, as pydantic would read it if every import were to pay for that."""
    (definition,) = ast.parse(dedent(inspect.getsource(model))).body
    assert isinstance(definition, ast.ClassDef)
    found = {}
    for statement, below in pairwise(definition.body):
        match statement, below:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                found[name] = cleaned(text)
    return found


def _error_code() -> Schema:
    codes = [code.value for code in ErrorCode]
    return {
        "description": "Which error. A later version may have further codes: treat one that you do not know as "
        f"`{ErrorCode.INTERNAL}`.",
        "anyOf": [{"enum": codes}, {"type": "string", "maxLength": 64}],
    }


_MICROSECONDS = {"type": "integer", "minimum": 0}
_COUNT = {"type": "integer", "minimum": 0}
_TENSOR: Schema = {
    "type": "string",
    "contentEncoding": "base64",
    "x-msgpack": f"ext {TENSOR_EXT_TYPE}",
    "description": (
        f"A tensor: msgpack's extension type {TENSOR_EXT_TYPE}. Little-endian, in this order: the element type (u8: "
        + ", ".join(f"{each.code} is {each.label}" for each in Precision)
        + f"), the number of dimensions (u8, at most {MAX_TENSOR_DIMENSIONS}), each dimension (u32), for int8 alone "
        f"one float32 scale per row, then the elements row by row, at most {MAX_TENSOR_ELEMENTS:,}. A row is "
        "everything but the last dimension; an int8 element times its row's scale is its value."
    ),
}
# What pydantic does not see: a validator's rule, and models that write themselves as lists.
_KNOWN_BETTER: dict[str, Schema] = {
    "Reply": {"oneOf": [{"required": ["prediction"]}, {"required": ["failure"]}]},
    "StageTiming": {
        "description": "How long one stage had a record.",
        "items": [
            _MICROSECONDS | {"description": "microseconds waiting, in Kafka and in the worker"},
            _MICROSECONDS | {"description": "microseconds computing"},
        ],
        "minItems": 2,
        "maxItems": 2,
    },
    "TenantCounts": {
        "description": "One tenant's requests that were answered by this stage in the interval.",
        "items": [
            _COUNT | {"description": "requests"},
            _COUNT | {"description": "of them, those that were answered with an error"},
            {"type": "array", "items": {"type": "integer"}, "description": "a sketch of their latency"},
        ],
        "minItems": 2,
        "maxItems": 3,
    },
}
