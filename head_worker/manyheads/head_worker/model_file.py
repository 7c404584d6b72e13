"""What an ONNX file declares, read without the onnx package: only what must be known before it is run.

A head's file is data. It may hold nothing that reads other files (external tensors), calls into other operator sets,
or hides operators in functions and subgraphs.
"""

from collections.abc import Iterator

from manyheads.head_worker.card import corrupt

OPSETS = {"": 20, "com.microsoft": 1}
"""The operator sets of a head of format 1."""

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_FIXED_SIZES = {_FIXED64: 8, _FIXED32: 4}
_EMPTY = memoryview(b"")

# Field numbers of onnx.proto.
_MODEL_GRAPH, _MODEL_OPSET, _MODEL_METADATA, _MODEL_TRAINING, _MODEL_FUNCTIONS = 7, 8, 14, 20, 25
_MODEL_TEXTS = (2, 3, 4, 6)
_ENTRY_KEY, _ENTRY_VALUE = 1, 2
_OPSET_DOMAIN, _OPSET_VERSION = 1, 2
_GRAPH_NODE, _GRAPH_NAME, _GRAPH_INITIALIZER, _GRAPH_SPARSE = 1, 2, 5, 15
_NODE_ATTRIBUTE, _NODE_DOMAIN = 5, 7
_ATTRIBUTE_TENSOR, _ATTRIBUTE_GRAPH, _ATTRIBUTE_TENSORS, _ATTRIBUTE_GRAPHS = 5, 6, 10, 11
_TENSOR_EXTERNAL, _TENSOR_LOCATION = 13, 14


def check_model(model: bytes) -> dict[str, str]:
    """The metadata of an ONNX file.

    Raises:
        ArtifactError: artifact_corrupt unless ``model`` is an ONNX file that keeps to a head's operator sets.
    """
    graphs = 0
    opsets: dict[str, int] = {}
    metadata: dict[str, str] = {}
    for number, value in _fields(memoryview(model)):
        if number == _MODEL_GRAPH:
            graphs += 1
            _check_graph(_message(value))
        elif number == _MODEL_OPSET:
            domain, version = _opset(_message(value))
            opsets[domain] = version
        elif number == _MODEL_METADATA:
            entry = dict(_fields(_message(value)))
            metadata[_text(entry.get(_ENTRY_KEY, _EMPTY))] = _text(entry.get(_ENTRY_VALUE, _EMPTY))
        elif number in (_MODEL_TRAINING, _MODEL_FUNCTIONS):
            raise corrupt("it holds functions or training steps")
        elif number in _MODEL_TEXTS:
            _text(value)
    if graphs != 1:
        raise corrupt(f"it holds {graphs} graphs")
    if opsets != OPSETS:
        shown = ", ".join(f"{domain or 'ai.onnx'} {version}" for domain, version in sorted(opsets.items())[:5])
        raise corrupt(f"its operator sets are {shown or 'none'}")
    return metadata


def _opset(message: memoryview) -> tuple[str, int]:
    domain, version = "", 0
    for number, value in _fields(message):
        if number == _OPSET_DOMAIN:
            domain = _text(value)
        elif number == _OPSET_VERSION and isinstance(value, int):
            version = value
    return ("" if domain == "ai.onnx" else domain), version


def _check_graph(graph: memoryview) -> None:
    for number, value in _fields(graph):
        if number == _GRAPH_NODE:
            _check_node(_message(value))
        elif number == _GRAPH_INITIALIZER:
            _check_tensor(_message(value))
        elif number == _GRAPH_NAME:
            _text(value)
        elif number == _GRAPH_SPARSE:
            raise corrupt("it holds sparse tensors")


def _check_node(node: memoryview) -> None:
    for number, value in _fields(node):
        if number == _NODE_DOMAIN and _text(value) not in (*OPSETS, "ai.onnx"):
            raise corrupt(f"it calls operators of {_text(value)!r:.60}")
        if number == _NODE_ATTRIBUTE:
            for kind, content in _fields(_message(value)):
                if kind in (_ATTRIBUTE_GRAPH, _ATTRIBUTE_GRAPHS):
                    raise corrupt("it holds a graph within a graph")
                if kind in (_ATTRIBUTE_TENSOR, _ATTRIBUTE_TENSORS):
                    _check_tensor(_message(content))


def _check_tensor(tensor: memoryview) -> None:
    for number, value in _fields(tensor):
        if number == _TENSOR_EXTERNAL or (number == _TENSOR_LOCATION and value != 0):
            raise corrupt("it keeps weights in another file")


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Number and value of each field of a protobuf message; what is not a varint comes as its bytes."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        number, wire = key >> 3, key & 7
        if wire == _VARINT:
            value, at = _varint(message, at)
            yield number, value
            continue
        if wire == _BYTES:
            size, at = _varint(message, at)
        elif wire in _FIXED_SIZES:
            size = _FIXED_SIZES[wire]
        else:
            raise corrupt("its bytes are no protobuf message", position=at)
        if number == 0 or at + size > len(message):
            raise corrupt("its bytes are cut or no protobuf message", position=at)
        yield number, message[at : at + size]
        at += size


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    number = 0
    for shift in range(0, 70, 7):
        if at >= len(message):
            raise corrupt("its bytes are cut within a number", position=at)
        byte = message[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
    raise corrupt("its bytes are no protobuf message", position=at)


def _message(value: int | memoryview) -> memoryview:
    if isinstance(value, int):
        raise corrupt("it has a number where a message should be")
    return value


def _text(value: int | memoryview) -> str:
    try:
        return bytes(_message(value)).decode()
    except UnicodeDecodeError as error:
        raise corrupt("it has a text that is not UTF-8", position=error.start) from None
