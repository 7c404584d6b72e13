"""The settings: valid, and no variable that nobody reads for a slip of the pen."""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches

from manyheads.infra.doctor.findings import Area, Finding
from manyheads.infra.settings import CONFIG_VARIABLE, ENV_PREFIX, KafkaSettings, SettingsFile, variable
from manyheads.infra.store import StoreSettings
from manyheads.infra.worker.settings import WorkerSettings

SETTINGS = Area("settings")
_FIELDS = (*KafkaSettings.model_fields, *StoreSettings.model_fields, *WorkerSettings.model_fields)
NO_FILE = SettingsFile(None, {})
_CLOSE = 0.85
"""of 1: a letter too many, too few or wrong"""


def judge_kafka(
    settings: KafkaSettings, environment: Mapping[str, str], option: bool, file: SettingsFile = NO_FILE
) -> Finding:
    """Where Kafka is, and who said so; ``option`` if the command line did."""
    source = "--bootstrap-servers" if option else _source("bootstrap_servers", environment, file)
    how = f"{settings.security_protocol}, {source}"
    return SETTINGS.ok("kafka", f"{settings.bootstrap_servers} ({how})")


def judge_store(url: str, environment: Mapping[str, str], option: bool, file: SettingsFile = NO_FILE) -> Finding:
    """Where the models are, and who said so; ``url`` is without secrets."""
    source = "--store" if option else _source("store_url", environment, file)
    return SETTINGS.ok("store", f"{url} ({source})")


def judge_names(environment: Mapping[str, str]) -> Iterator[Finding]:
    """Variables that look like one of ours and are none: nobody reads them."""
    for name in sorted(environment):
        field = name.removeprefix(ENV_PREFIX).lower()
        if field == name.lower() or field in _FIELDS or name == CONFIG_VARIABLE:
            continue
        meant = get_close_matches(field, _FIELDS, 1, _CLOSE)
        if meant:
            yield SETTINGS.warn(name, "nothing reads this variable", f"did you mean {variable(meant[0])}?")


def _source(field: str, environment: Mapping[str, str], file: SettingsFile) -> str:
    name = variable(field)
    if environment.get(name):
        return name
    return f"{file.path}" if field in file.values else f"the default: {name} is not set"
