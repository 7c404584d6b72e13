"""All checks, one after another, in the order of the report."""

from collections.abc import Iterator
from contextlib import ExitStack

from manyheads.infra.admin.client import AdminClient
from manyheads.infra.doctor import environment, machine, servers
from manyheads.infra.doctor.connected import NEEDS_KAFKA, ConnectedChecks
from manyheads.infra.doctor.findings import Finding
from manyheads.infra.doctor.guarding import guarded
from manyheads.infra.doctor.options import DoctorOptions
from manyheads.infra.settings import KafkaSettings, SettingsFile, load_settings
from manyheads.infra.store import ModelStore, StoreSettings


def examine(options: DoctorOptions) -> Iterator[Finding]:
    """Make every check. Reads only, and raises nothing that a check raises."""
    with ExitStack() as resources:
        yield from _Examination(options, resources).findings()


class _Examination:
    """One run. What it learned of the settings and of Kafka is None where that was not to be had."""

    def __init__(self, options: DoctorOptions, resources: ExitStack) -> None:
        self._options = options
        self._resources = resources
        self._kafka: KafkaSettings | None = None
        self._store: ModelStore | None = None
        self._client: AdminClient | None = None
        self._why_no_client = "it is not known where Kafka is"

    def findings(self) -> Iterator[Finding]:
        """Every finding, as it is made."""
        yield from guarded(environment.SETTINGS, "kafka", self._find_kafka)
        yield from guarded(environment.SETTINGS, "store", self._find_store)
        yield from guarded(environment.SETTINGS, "variables", self._check_variables)
        yield from guarded(servers.BROKER, "login", self._connect)
        if self._kafka is None or self._client is None:
            for area, subject in NEEDS_KAFKA:
                yield area.unknown(subject, self._why_no_client)
        else:
            checks = ConnectedChecks(self._kafka, self._client, self._store, self._options)
            for area, subject, check in checks.in_order():
                yield from guarded(area, subject, check)
        yield from guarded(machine.MACHINE, "machine", self._check_machine)

    def _find_kafka(self) -> Iterator[Finding]:
        given = self._options.bootstrap_servers
        self._kafka = load_settings(KafkaSettings, **_overrides(bootstrap_servers=given))
        yield environment.judge_kafka(self._kafka, self._options.environment, given is not None, SettingsFile.find())

    def _find_store(self) -> Iterator[Finding]:
        given = self._options.store_url
        settings = load_settings(StoreSettings, **_overrides(store_url=given))
        self._store = ModelStore(settings.store_url, settings.store_cache_dir)
        yield environment.judge_store(
            self._store.url, self._options.environment, given is not None, SettingsFile.find()
        )

    def _check_variables(self) -> Iterator[Finding]:
        return environment.judge_names(self._options.environment)

    def _connect(self) -> Iterator[Finding]:
        settings, timeout_s = self._kafka, self._options.timeout_s
        if settings is None:
            return
        found = servers.reach(settings.bootstrap_servers.split(","), settings, timeout_s)
        yield from servers.judge_servers(found)
        self._why_no_client = "Kafka cannot be reached"
        if all(server.failed for server in found):
            return
        login = servers.log_in(settings, timeout_s)
        yield servers.judge_login(login, settings)
        self._why_no_client = "Kafka does not let us in"
        if not login.accepted:
            return
        elsewhere = sorted(set(login.brokers) - {server.address for server in found})
        yield from servers.judge_advertised(servers.reach(elsewhere, settings, timeout_s))
        self._why_no_client = "the brokers cannot be reached where they say that they are"
        self._client = AdminClient(settings, timeout_s)
        self._resources.callback(self._client.close)

    def _check_machine(self) -> Iterator[Finding]:
        folders = () if self._store is None else (self._store.folder,)
        return machine.judge_machine(machine.measure_machine(folders))


def _overrides(**given: str | None) -> dict[str, str]:
    return {name: value for name, value in given.items() if value is not None}
