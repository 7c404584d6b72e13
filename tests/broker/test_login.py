"""The settings against a broker that lets nobody in without a login: what they say is what each client does."""

import asyncio
from collections.abc import Iterator

import pytest
from aiokafka import AIOKafkaProducer
from confluent_kafka import Producer
from kafka.admin import KafkaAdminClient, ScramMechanism, UserScramCredentialUpsertion

from manyheads.infra.admin import TopicAdmin
from manyheads.infra.broker import Login
from manyheads.infra.settings import KafkaSettings, SaslMechanism, load_settings
from manyheads.producers import Client
from manyheads.topics.catalogue import TopicSpec
from manyheads.topics.errors import BrokerError, ErrorCode
from tests.support.kafka import Kafka, NewKafka

TOPIC = "test.logged-in"
PASSWORD = 'correct "horse" \\battery é'
TIMEOUT_S = 30.0


@pytest.fixture(scope="module")
def locked(new_kafka: NewKafka) -> Iterator[Kafka]:
    """A broker with a user for each mechanism, and a topic."""
    with new_kafka(login=Login("plain-user", PASSWORD)) as kafka:
        with TopicAdmin(kafka.settings()) as admin:
            admin.ensure([TopicSpec(TOPIC, 1)])
        admin_client = KafkaAdminClient(**kafka.settings().kafka_python())
        try:
            for mechanism in (ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512):
                credential = UserScramCredentialUpsertion("scram-user", mechanism, password=PASSWORD)
                answer = admin_client.alter_user_scram_credentials([credential])
                assert answer == {"scram-user": None}, "no error"
        finally:
            admin_client.close()
        yield kafka


def settings_for(kafka: Kafka, mechanism: SaslMechanism, password: str = PASSWORD) -> KafkaSettings:
    return load_settings(
        KafkaSettings,
        bootstrap_servers=kafka.bootstrap_servers,
        security_protocol="SASL_PLAINTEXT",
        sasl_mechanism=mechanism,
        sasl_username="plain-user" if mechanism is SaslMechanism.PLAIN else "scram-user",
        sasl_password=password,
    )


@pytest.mark.parametrize("mechanism", SaslMechanism)
async def test_every_client_logs_in(locked: Kafka, mechanism: SaslMechanism) -> None:
    settings = settings_for(locked, mechanism)
    with TopicAdmin(settings) as admin:
        assert [state.name for state in admin.list(TOPIC)] == [TOPIC]
    producer = Producer(settings.confluent())
    assert TOPIC in producer.list_topics(timeout=TIMEOUT_S).topics
    async with AIOKafkaProducer(**settings.aiokafka()) as aioproducer:
        sent = await aioproducer.send_and_wait(TOPIC, b"hello")
        assert sent.topic == TOPIC


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
@pytest.mark.parametrize("mechanism", SaslMechanism)
def test_a_wrong_password_is_refused_and_never_shown(
    locked: Kafka, mechanism: SaslMechanism, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    with pytest.raises(BrokerError, match=locked.bootstrap_servers) as caught:
        TopicAdmin(settings_for(locked, mechanism, "wrong-password"), timeout_s=2).__enter__()
    assert caught.value.code is ErrorCode.BROKER_UNREACHABLE
    assert "wrong-password" not in str(caught.value)
    assert "wrong-password" not in caplog.text, "kafka-python logs its configuration at DEBUG"


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
def test_nobody_gets_in_without_a_login(locked: Kafka) -> None:
    plain = load_settings(KafkaSettings, bootstrap_servers=locked.bootstrap_servers)
    with pytest.raises(BrokerError) as caught:
        TopicAdmin(plain, timeout_s=2).__enter__()
    assert caught.value.code is ErrorCode.BROKER_UNREACHABLE


async def test_the_sdk_says_a_wrong_password_within_the_timeout(locked: Kafka) -> None:
    tasks = asyncio.all_tasks()
    with pytest.raises(BrokerError, match="do the security settings fit") as caught:
        await Client(settings_for(locked, SaslMechanism.PLAIN, "wrong-password"), timeout=2.0).open()
    assert caught.value.code is ErrorCode.BROKER_UNREACHABLE
    assert "wrong-password" not in str(caught.value)
    assert asyncio.all_tasks() == tasks
