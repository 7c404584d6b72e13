"""What a client refuses before it does anything."""

import math

import pytest

from manyheads.infra.settings import SecurityProtocol
from manyheads.producers import (
    Client,
    ClientClosed,
    ClientOptions,
    ErrorCode,
    InvalidRequest,
    InvalidSettings,
    KafkaSettings,
)


@pytest.mark.parametrize("ring", ["", "EN", "en.us", "-en", "e" * 64])
def test_a_ring_that_is_no_name(ring: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        Client(ring=ring)
    assert raised.value.code is ErrorCode.INVALID_NAME


@pytest.mark.parametrize("servers", ["", "localhost", "localhost:http", "http://localhost:9092"])
def test_an_address_that_is_none(servers: str) -> None:
    with pytest.raises(InvalidSettings, match="MANYHEADS_BOOTSTRAP_SERVERS"):
        Client(servers)


@pytest.mark.parametrize("timeout", [0, -1.0, math.nan, math.inf])
def test_a_timeout_that_is_none(timeout: float) -> None:
    with pytest.raises(InvalidRequest, match="timeout"):
        Client(timeout=timeout)


@pytest.mark.parametrize("count", [0, -1, True, math.nan])
def test_numbers_that_are_out_of_range_are_named(count: int) -> None:
    with pytest.raises(InvalidRequest, match="max_in_flight"):
        Client(max_in_flight=count)
    with pytest.raises(InvalidRequest, match="max_batch_bytes"):
        ClientOptions(max_batch_bytes=count)


def test_the_environment_says_where_kafka_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MANYHEADS_SECURITY_PROTOCOL", "SASL_SSL")
    with pytest.raises(InvalidSettings, match="MANYHEADS_SASL_USERNAME"):
        Client()
    Client(KafkaSettings(security_protocol=SecurityProtocol.PLAINTEXT))


async def test_a_client_that_is_not_open_says_how_to_open_it() -> None:
    client = Client()
    with pytest.raises(ClientClosed, match="async with"):
        await client.predict("acme-bank", "what is my balance")
    with pytest.raises(ClientClosed, match="async with"):
        client.predict_many([("acme-bank", "what is my balance")])


async def test_closing_what_was_never_opened_is_fine_and_final() -> None:
    client = Client()
    await client.close()
    await client.close()
    with pytest.raises(ClientClosed, match="make another"):
        await client.open()
