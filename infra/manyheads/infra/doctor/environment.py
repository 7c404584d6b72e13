"""The settings: valid, and no variable that nobody reads for a slip of the pen."""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches

from manyheads.infra.doctor.findings import Area, Finding
from manyheads.infra.settings import ENV_PREFIX, KafkaSettings, variable
from manyheads.infra.store import StoreSettings
from manyheads.infra.worker.settings import WorkerSettings

SETTINGS = Area("settings")
_FIELDS = (*KafkaSettings.model_fields, *StoreSettings.model_fields, *WorkerSettings.model_fields)
_CLOSE = 0.85
"""of 1: a letter too many, too few or wrong"""


def judge_kafka(settings: KafkaSettings, environment: Mapping[str, str], option: bool) -> Finding:
    """Where Kafka is, and who said so; ``option`` if the command line did."""
    name = variable("bootstrap_servers")
    source = "--bootstrap-servers" if option else name if environment.get(name) else f"the default: {name} is not set"
    how = f"{settings.security_protocol}, {source}"
    return SETTINGS.ok("kafka", f"{settings.bootstrap_servers} ({how})")


def judge_store(url: str, environment: Mapping[str, str], option: bool) -> Finding:
    """Where the models are, and who said so; ``url`` is without secrets."""
    name = variable("store_url")
    source = "--store" if option else name if environment.get(name) else f"the default: {name} is not set"
    return SETTINGS.ok("store", f"{url} ({source})")


def judge_names(environment: Mapping[str, str]) -> Iterator[Finding]:
    """Variables that look like one of ours and are none: nobody reads them."""
    for name in sorted(environment):
        field = name.removeprefix(ENV_PREFIX).lower()
        if field == name.lower() or field in _FIELDS:
            continue
        meant = get_close_matches(field, _FIELDS, 1, _CLOSE)
        if meant:
            yield SETTINGS.warn(name, "nothing reads this variable", f"did you mean {variable(meant[0])}?")
