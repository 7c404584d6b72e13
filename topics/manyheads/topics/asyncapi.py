"""The wire as an AsyncAPI 3 document, made from the modules of this package: for people, and for other tools.

The application that it describes is the pipeline. It receives requests and answers each one to the topic that the
request names, which AsyncAPI calls a reply; the channels between its stages are here too.
"""

from dataclasses import dataclass
from typing import Any

from manyheads.topics import headers
from manyheads.topics.asyncapi_headers import header_schemas
from manyheads.topics.asyncapi_schemas import Schema, binary, cleaned, payload_schemas, reference
from manyheads.topics.catalogue import TopicSpec, ring_topics, shared_topics
from manyheads.topics.codec import CONTENT_TYPE, unpack
from manyheads.topics.errors import ErrorCode, RoutingError
from manyheads.topics.messages import (
    Embedding,
    EntitySpan,
    Failure,
    Intent,
    Message,
    Prediction,
    Reply,
    Request,
    SharedRequest,
    StageTiming,
    Timings,
    Versions,
)
from manyheads.topics.names import DEAD_LETTER_SUFFIX, PREFIX, REPLIES_TOPIC, CellName, RingName, SpaceName, VersionName
from manyheads.topics.registry import EncoderRecord, HeadRecord, PlacementRecord, RingRecord
from manyheads.topics.telemetry import WorkerReport

SPECIFICATION = "3.0.0"
_KAFKA_BINDING = "0.5.0"
_TEXT_KEY: Schema = {"type": "string"}


@dataclass(frozen=True, slots=True)
class _Record:
    """One kind of record: what is in it, and what its key is."""

    model: type[Message]
    headers: str | None = None
    key: str | None = None


@dataclass(frozen=True, slots=True)
class _Kind:
    """What all topics of one kind have in common, by the word in their names."""

    word: str
    title: str
    description: str
    records: tuple[_Record, ...]
    actions: tuple[str, ...]
    """what the pipeline does here: ``receive``, ``send`` or both"""
    replies: bool = False
    """whether it answers what it receives here"""
    for_clients: bool = False


_REGISTRY_KEY = "what the record is about, such as `head/en/acme-bank/7`; the last record of a key holds"
_KINDS = (
    _Kind(
        "requests",
        "Requests",
        "One text for one tenant, or for several. Without a key, spread evenly over the partitions.",
        (_Record(Request, "RequestHeaders"), _Record(SharedRequest, "SharedRequestHeaders")),
        ("receive",),
        replies=True,
        for_clients=True,
    ),
    _Kind(
        "embeddings",
        "Embeddings",
        "From the encoder stage to the head stage, within the pipeline. A tenant's embeddings keep to its partitions.",
        (_Record(Embedding, "EmbeddingHeaders", "the tenant; of one that is spread over several keys, `tenant#n`"),),
        ("send", "receive"),
        replies=True,
    ),
    _Kind(
        "replies",
        "Replies",
        "Where the SDK has its replies sent. A client may name any other topic that the workers may write to.",
        (_Record(Reply, "ReplyHeaders"),),
        ("send",),
        for_clients=True,
    ),
    _Kind(
        "registry",
        "Registry",
        "Rings, encoders, heads and placements: who is where, and what answers. A record without a value deletes.",
        tuple(_Record(each, key=_REGISTRY_KEY) for each in (RingRecord, EncoderRecord, HeadRecord, PlacementRecord)),
        ("send", "receive"),
    ),
    _Kind(
        "telemetry",
        "Telemetry",
        "What each worker says of itself, every two seconds.",
        (_Record(WorkerReport, key="the worker's instance"),),
        ("send",),
    ),
)
_REPLY_ADDRESS = "reply-address"
_DEAD_LETTER = "DeadLetter"


def document() -> dict[str, Any]:
    """The AsyncAPI document as plain data, ready for JSON or YAML."""
    topics = (*shared_topics(), *ring_topics(RingName("{ring}"), [CellName("{cell}")]))
    channels = {_channel_id(topic.name): _channel(topic) for topic in topics}
    channels[_REPLY_ADDRESS] = {
        "address": None,
        "title": "Reply address",
        "description": f"What a request names; `{REPLIES_TOPIC}` unless its client has a topic of its own.",
        "messages": _references((_Record(Reply),)),
    }
    return {
        "asyncapi": SPECIFICATION,
        "info": {
            "title": "manyheads",
            "version": str(Message.SCHEMA_VERSION),
            "description": _INTRODUCTION,
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": CONTENT_TYPE,
        "servers": {
            "kafka": {"host": "localhost:9092", "protocol": "kafka", "description": "Any broker of the cluster."}
        },
        "channels": channels,
        "operations": {name: each for topic in topics for name, each in _operations(topic.name)},
        "components": {"schemas": _schemas(), "messages": _messages()},
    }


_INTRODUCTION = (
    "One shared encoder, thousands of tenant heads, joined by Kafka. A client sends a text to the requests of its ring "
    "and names in the headers the tenant, a correlation id and where the reply goes, as Spring Kafka's "
    "`ReplyingKafkaTemplate` does. It gets a prediction or a failure with a code.\n\n"
    "Values are msgpack maps. Fields that are not known are to be ignored; fields without a value stay away. The "
    "schemas describe a value as JSON: a msgpack binary or extension stands in it as Base64 text, and so does a header "
    "that is no text."
)


def _channel_id(topic: str) -> str:
    return topic.removeprefix(f"{PREFIX}.").replace("{ring}.", "").replace("{cell}.", "").replace(".", "-")


def _kind(topic: str) -> _Kind:
    words = topic.removesuffix(DEAD_LETTER_SUFFIX).split(".")
    return next(kind for kind in _KINDS if kind.word in words)


def _is_dead_letters(topic: str) -> bool:
    return topic.endswith(DEAD_LETTER_SUFFIX)


def _channel(topic: TopicSpec) -> dict[str, Any]:
    kind = _kind(topic.name)
    source = topic.name.removesuffix(DEAD_LETTER_SUFFIX)
    transient = ".transient" in source
    title = f"Transient {kind.title.lower()}" if transient else kind.title
    title = f"{title} of the batch lane" if source.endswith(".batch") else title
    channel: dict[str, Any] = {"address": topic.name, "title": title, "description": kind.description}
    if _is_dead_letters(topic.name):
        kept = "without their values" if transient else "as they were"
        channel |= {
            "title": f"{title} that failed",
            "description": f"Records of `{source}` that could not be processed, {kept}, each with its reason.",
            "messages": {_DEAD_LETTER: {"$ref": f"#/components/messages/{_DEAD_LETTER}"}},
        }
    else:
        channel["messages"] = _references(kind.records)
    parameters = {name: each for name, each in _PARAMETERS.items() if f"{{{name}}}" in topic.name}
    if parameters:
        channel["parameters"] = parameters
    channel["tags"] = [{"name": "client" if kind.for_clients and not _is_dead_letters(topic.name) else "internal"}]
    channel["bindings"] = {"kafka": _topic_binding(topic)}
    return channel


_PARAMETERS = {
    "ring": {"description": "The language region.", "examples": ["en", "fr"]},
    "cell": {"description": "The slice of the ring's tenants.", "examples": ["c0"]},
}


def _references(records: tuple[_Record, ...]) -> dict[str, Schema]:
    names = [record.model.__name__ for record in records]
    return {name: {"$ref": f"#/components/messages/{name}"} for name in names}


def _topic_binding(topic: TopicSpec) -> dict[str, Any]:
    configuration: dict[str, Any] = {
        name: int(value) if value.isdigit() else value for name, value in (topic.settings | topic.initial).items()
    }
    configuration["cleanup.policy"] = [configuration["cleanup.policy"]]
    return {
        "partitions": topic.partitions,
        "topicConfiguration": configuration,
        "bindingVersion": _KAFKA_BINDING,
    }


def _operations(topic: str) -> list[tuple[str, dict[str, Any]]]:
    kind, channel = _kind(topic), _channel_id(topic)
    if _is_dead_letters(topic):
        return [(f"send-{channel}", _operation("send", channel))]
    found = []
    for action in kind.actions:
        operation = _operation(action, channel)
        if action == "receive" and kind.replies:
            operation["reply"] = _REPLY
        found.append((f"{action}-{channel}", operation))
    return found


def _operation(action: str, channel: str) -> dict[str, Any]:
    return {"action": action, "channel": {"$ref": f"#/channels/{channel}"}}


_REPLY = {
    "address": {
        "location": f"$message.header#/{headers.REPLY_TOPIC}",
        "description": f"In the partition of the header `{headers.REPLY_PARTITION}`; without one, in any.",
    },
    "channel": {"$ref": f"#/channels/{_REPLY_ADDRESS}"},
    "messages": [{"$ref": f"#/channels/{_REPLY_ADDRESS}/messages/{Reply.__name__}"}],
}


def _records() -> list[_Record]:
    return [record for kind in _KINDS for record in kind.records]


def _schemas() -> dict[str, Schema]:
    return header_schemas() | payload_schemas([record.model for record in _records()])


def _messages() -> dict[str, Any]:
    messages = {record.model.__name__: _message(record) for record in _records()}
    messages[_DEAD_LETTER] = {
        "name": _DEAD_LETTER,
        "summary": "A record that could not be processed, as it was, and its reason.",
        "contentType": "application/octet-stream",
        "headers": reference("DeadLetterHeaders"),
        "payload": binary("the value of the record as it was; it may be anything"),
    }
    return messages


def _message(record: _Record) -> dict[str, Any]:
    name = record.model.__name__
    message: dict[str, Any] = {
        "name": name,
        "summary": cleaned(record.model.__doc__ or "").split("\n\n")[0],
        "contentType": CONTENT_TYPE,
        "payload": reference(name),
        "x-max-bytes": record.model.LIMIT_BYTES,
    }
    if record.headers is not None:
        message["headers"] = reference(record.headers)
        message["correlationId"] = {"location": f"$message.header#/{headers.CORRELATION_ID}"}
    if record.key is not None:
        key = _TEXT_KEY | {"description": record.key}
        message["bindings"] = {"kafka": {"key": key, "bindingVersion": _KAFKA_BINDING}}
    examples = [
        {"name": title, "payload": unpack(each.to_bytes())} for title, each in _EXAMPLES if type(each) is record.model
    ]
    if examples:
        message["examples"] = examples
    return message


_TIMING = StageTiming(queue_ms=1.5, compute_ms=3.25)
_EXAMPLES: tuple[tuple[str, Message], ...] = (
    ("request", Request(text="move 40 euros to my savings")),
    (
        "prediction",
        Reply(
            prediction=Prediction(
                intents=(Intent(name="transfer", confidence=0.875), Intent(name="balance", confidence=0.0625)),
                entities=(EntitySpan(label="amount", start=5, end=13, confidence=0.75),),
                versions=Versions(
                    head=VersionName("7"), encoder=VersionName("20261121-3f9a"), space=SpaceName("minilm-l6-v2")
                ),
                timings=Timings(encoder=_TIMING, head=_TIMING),
            )
        ),
    ),
    (
        "failure",
        Reply(
            failure=Failure.of(
                RoutingError(ErrorCode.UNKNOWN_TENANT, "the ring en has no tenant acme", tenant="acme", ring="en")
            )
        ),
    ),
)
