"""The embedded broker itself: starting, stopping, crashing, coming back, and leaving nothing behind."""

import os
import select
import signal
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from manyheads.infra.admin import TopicAdmin
from manyheads.infra.broker import EmbeddedKafka, embedded
from manyheads.infra.broker.ports import LOOPBACK, free_ports, is_free
from manyheads.infra.broker.probe import serving_brokers
from manyheads.topics.catalogue import TopicSpec
from manyheads.topics.errors import BrokerError, ErrorCode, InvalidRequest

PATIENCE_S = 60.0
TOPIC = TopicSpec("test.records", 1)


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The system's temporary folder during this test: what is in it afterwards was left behind."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


def processes_of(temporary: Path) -> dict[int, str]:
    """All other processes that were started with this temporary folder: process id and command line."""
    found = {}
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and int(process.name) != os.getpid():
            try:
                if str(temporary).encode() in (process / "environ").read_bytes():
                    found[int(process.name)] = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:  # it has ended meanwhile
                continue
    return found


def produce(kafka: EmbeddedKafka, *values: bytes) -> None:
    producer = Producer(kafka.settings().confluent() | {"acks": "all"})
    failures: list[object] = []
    for value in values:
        producer.produce(TOPIC.name, value, on_delivery=lambda error, _: failures.append(error) if error else None)
    assert producer.flush(PATIENCE_S) == 0
    assert failures == []


def consume(kafka: EmbeddedKafka, count: int) -> list[bytes]:
    consumer = Consumer(kafka.settings().confluent() | {"group.id": "test", "enable.auto.commit": "false"})
    try:
        consumer.assign([TopicPartition(TOPIC.name, 0, 0)])
        messages = consumer.consume(count, PATIENCE_S)
        return [message.value() or b"" for message in messages]
    finally:
        consumer.close()


def cluster_id(kafka: EmbeddedKafka) -> str:
    producer = Producer(kafka.settings().confluent())
    return str(producer.list_topics(timeout=PATIENCE_S).cluster_id)


def test_a_broker_is_killed_stopped_and_comes_back(temporary: Path) -> None:
    with EmbeddedKafka() as kafka:
        port = int(kafka.bootstrap_servers.rpartition(":")[2])
        with TopicAdmin(kafka.settings()) as admin:
            admin.ensure([TOPIC])
        produce(kafka, b"one")
        before = kafka.bootstrap_servers, cluster_id(kafka)

        kafka.kill()
        assert serving_brokers(LOOPBACK, port) == 0
        assert is_free(port)
        kafka.restart()
        assert serving_brokers(LOOPBACK, port) == 1
        assert (kafka.bootstrap_servers, cluster_id(kafka)) == before
        produce(kafka, b"two")

        kafka.restart()
        produce(kafka, b"three")
        assert consume(kafka, 3) == [b"one", b"two", b"three"]

        assert any("kafka.Kafka" in line for line in processes_of(temporary).values())
        folder = kafka.folder
        assert folder.parent == temporary
        kafka.start()  # it runs: nothing happens
        assert kafka.folder == folder
    assert processes_of(temporary) == {}
    assert list(temporary.iterdir()) == []
    assert is_free(port)
    kafka.stop()


def test_a_broker_that_ends_by_itself_is_told(temporary: Path) -> None:
    with EmbeddedKafka() as kafka:
        kafka.check()
        kafka.kill()
        kafka.check()  # that was asked for
        kafka.restart()
        kafka.freeze()
        kafka.check()
        kafka.thaw()

        (java,) = (pid for pid, line in processes_of(temporary).items() if "kafka.Kafka" in line)
        descriptor = os.pidfd_open(java)
        os.kill(java, signal.SIGKILL)
        ended = select.poll()
        ended.register(descriptor, select.POLLIN)
        assert ended.poll(PATIENCE_S * 1_000)
        os.close(descriptor)
        with pytest.raises(BrokerError, match="broker 0 has ended with SIGKILL") as caught:
            until_told(kafka)
        assert caught.value.code is ErrorCode.BROKER_UNREACHABLE
        assert "Kafka Server started" in caught.value.message, "the end of its log"
        with pytest.raises(BrokerError):
            kafka.check()
        kafka.restart()
        kafka.check()
    assert processes_of(temporary) == {}
    with pytest.raises(BrokerError, match="not started"):
        kafka.check()


def until_told(kafka: EmbeddedKafka) -> None:
    """Its guard needs a moment to see that a process has ended."""
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        kafka.check()
        time.sleep(0.01)


def test_a_data_folder_is_kept_and_taken_up_again(temporary: Path, tmp_path: Path) -> None:
    data = tmp_path / "data ü"
    (port,) = free_ports(1)
    with EmbeddedKafka(data_dir=data, port=port) as kafka:
        assert kafka.bootstrap_servers == f"127.0.0.1:{port}"
        with TopicAdmin(kafka.settings()) as admin:
            admin.ensure([TOPIC])
        produce(kafka, b"kept")
        first = cluster_id(kafka)
    with EmbeddedKafka(data_dir=data) as kafka:
        assert cluster_id(kafka) == first
        assert consume(kafka, 1) == [b"kept"]
    with pytest.raises(InvalidRequest, match="has the data of 1 brokers, not 3"):
        EmbeddedKafka(3, data_dir=data).start()
    assert list(temporary.iterdir()) == []


def test_three_brokers_serve_without_one_of_them(temporary: Path) -> None:
    with EmbeddedKafka(3) as kafka:
        assert len(kafka.bootstrap_servers.split(",")) == 3
        with TopicAdmin(kafka.settings()) as admin:
            admin.ensure([TOPIC])
            (state,) = admin.list(TOPIC.name)
            assert state.replicas == 3, "the broker's default, for who asks for none"
        produce(kafka, b"one")
        kafka.kill(1)
        produce(kafka, b"two")
        kafka.restart(1)
        kafka.kill(2)
        assert consume(kafka, 2) == [b"one", b"two"]
        with pytest.raises(InvalidRequest, match="no broker 3"):
            kafka.kill(3)
    assert processes_of(temporary) == {}
    assert list(temporary.iterdir()) == []


def test_a_port_that_is_taken_is_named(temporary: Path) -> None:
    with socket.create_server((LOOPBACK, 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(BrokerError, match=f"port {port}") as caught:
            EmbeddedKafka(port=port).start()
    assert caught.value.code is ErrorCode.BROKER_UNREACHABLE
    assert processes_of(temporary) == {}
    assert list(temporary.iterdir()) == []


def test_a_port_that_somebody_takes_first_is_replaced(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server((LOOPBACK, 0)) as faster:
        taken = faster.getsockname()[1]
        offers = [(taken, *free_ports(1)), free_ports(2)]
        monkeypatch.setattr(embedded, "free_ports", lambda _count: offers.pop(0))
        with EmbeddedKafka() as kafka:
            assert kafka.bootstrap_servers != f"127.0.0.1:{taken}"
            assert offers == []


def test_a_failed_start_shows_the_log_and_leaves_nothing(temporary: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    identity = data / "node-0" / "data" / "meta.properties"
    identity.parent.mkdir(parents=True)
    identity.write_text("version=1\ncluster.id=AAAAAAAAAAAAAAAAAAAAAA\nnode.id=7\n")
    kafka = EmbeddedKafka(data_dir=data)
    with pytest.raises(BrokerError, match="broker 0 ended with exit code 1") as caught:
        kafka.start()
    assert "node" in caught.value.message.lower()
    assert "7" in caught.value.message, "Kafka's own reason"
    assert processes_of(temporary) == {}
    with pytest.raises(BrokerError, match="not started"):
        kafka.settings()


@pytest.mark.parametrize("after_s", [0.1, 0.5, 1.0, 2.0])
def test_an_interrupted_start_leaves_nothing(temporary: Path, after_s: float) -> None:
    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, after_s)
    try:
        with pytest.raises(KeyboardInterrupt), EmbeddedKafka():
            select.select([], [], [], PATIENCE_S)  # on a fast machine it may serve already
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert processes_of(temporary) == {}
    assert list(temporary.iterdir()) == []


PARENT = """
    import sys
    from manyheads.infra.broker import EmbeddedKafka

    kafka = EmbeddedKafka()
    kafka.start()
    print(kafka.bootstrap_servers, flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("end", ["is killed", "forgets to stop it"])
def test_a_broker_never_outlives_its_parent(temporary: Path, end: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PARENT)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        port = int(parent.stdout.readline().rpartition(":")[2])
        (guard,) = (pid for pid, line in processes_of(temporary).items() if "guard.py" in line)
        descriptor = os.pidfd_open(guard)
        if end == "is killed":
            parent.kill()
        parent.communicate()
        ended = select.poll()
        ended.register(descriptor, select.POLLIN)
        assert ended.poll(PATIENCE_S * 1_000), "the guard still runs"
        os.close(descriptor)
    assert processes_of(temporary) == {}
    assert list(temporary.iterdir()) == []
    assert is_free(port)
