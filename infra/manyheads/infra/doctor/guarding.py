"""A check that cannot be made says so, and the next one is made all the same."""

from collections.abc import Callable, Iterable, Iterator

from kafka.errors import KafkaError

from manyheads.infra.doctor.findings import Area, Finding
from manyheads.topics.errors import InvalidSettings, ManyheadsError

Check = Callable[[], Iterable[Finding]]
_DEFECT = "this is a defect of manyheads: please report it with this line"


def guarded(area: Area, subject: str, check: Check) -> Iterator[Finding]:
    """The findings of ``check``, and one more if it could not be made to its end."""
    try:
        yield from check()
    except InvalidSettings as error:
        yield area.fail(subject, error.message, "correct the variable, or unset it for its default")
    except ManyheadsError as error:
        yield area.unknown(subject, error.message)
    except KafkaError as error:
        yield _asked_in_vain(area, subject, error)
    except Exception as error:  # named in the report; the other checks matter as much
        yield area.unknown(subject, f"{type(error).__name__}: {error}", _DEFECT)


def _asked_in_vain(area: Area, subject: str, error: KafkaError) -> Finding:
    name = type(error).__name__
    if "Authorization" in name:
        return area.unknown(
            subject, f"Kafka does not let us ask ({name})", "give this user the right to describe (ACL)"
        )
    return area.unknown(subject, f"Kafka did not answer ({name}: {error})", "ask again; look at the brokers' logs")
