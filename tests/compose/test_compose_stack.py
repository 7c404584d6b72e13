"""docker-compose.yml, really run: asked, scaled, killed, restarted, stopped. The tests build on each other's stack."""

import asyncio
import re
from collections import Counter
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
import yaml
from confluent_kafka.admin import AdminClient

from manyheads.producers import Client
from manyheads.topics.names import Lane, cell, encoder_group, head_group, ring
from tests.compose.under_load import under_load
from tests.support.compose import ComposeStack, docker, restarted
from tests.support.prometheus import FOLDER, Prometheus, until

EN, C0 = ring("en"), cell("c0")
WORKERS = ("encoder_worker", "head_worker")
_SIGKILL = 137


def sees(prometheus: Prometheus, **expected: int) -> None:
    """Return once Prometheus has so many targets of each job, all of them up."""

    def states() -> Counter[tuple[str, str]]:
        return Counter((each["labels"]["job"], each["health"]) for each in prometheus.targets())

    until(lambda: states() == {(job, "up"): count for job, count in expected.items()}, lambda: f"{states()}")


async def test_this_machine_asks_through_the_sdk(stack: ComposeStack) -> None:
    async with Client(stack.settings) as client:
        answer = await client.predict("acme-bank", "move 40 euros to my savings")
    assert answer.intent.name == "transfer_money"


def test_the_demo_prints_its_table(stack: ComposeStack) -> None:
    done = stack.compose("run", "--rm", "demo", "demo", "-b", "kafka:29092", "--requests", "300")
    assert "300 of 300 answered, 0 errors, 0 lost" in done.stdout
    assert re.search(r"oakfield-clinic\s+9\s+6\s+348", done.stdout)


def test_prometheus_has_every_worker_the_lag_and_the_alerts(stack: ComposeStack) -> None:
    prometheus = Prometheus(stack.prometheus)
    sees(prometheus, encoder_worker=1, head_worker=2, lag=1)
    groups = {encoder_group(EN), encoder_group(EN, Lane.BATCH), head_group(EN, C0), head_group(EN, C0, Lane.BATCH)}

    def waiting() -> dict[str, float]:
        return {each.labels["group"]: each.value for each in prometheus.instant('manyheads_lag_records{ring="en"}')}

    until(lambda: groups <= waiting().keys() and not any(waiting().values()), lambda: f"{waiting()} waits")
    mounted = yaml.safe_load((FOLDER / "alerts.yml").read_text("utf-8"))["groups"]
    alerts = {rule["alert"] for group in mounted for rule in group["rules"]}
    assert {rule["name"] for rule in prometheus.rules()} == alerts
    critical = 'ALERTS{alertstate="firing", severity="critical"}'
    until(lambda: not prometheus.instant(critical), lambda: f"{prometheus.instant(critical)}")


def test_the_dashboard_shows_the_ring_to_who_has_its_token(stack: ComposeStack) -> None:
    with pytest.raises(HTTPError, match="401") as refused:
        urlopen(stack.dashboard)
    refused.value.close()
    found = re.search(rf"{stack.dashboard}/\?token=(\S+)", stack.compose("logs", "dashboard").stdout)
    assert found
    asked = Request(f"{stack.dashboard}/lag", headers={"Authorization": f"Bearer {found[1]}"})
    with urlopen(asked) as response:
        assert "nlu.en.c0.head" in response.read().decode()


def test_every_container_is_locked_down(stack: ComposeStack) -> None:
    for container in stack.containers():
        name, host = container["Name"], container["HostConfig"]
        assert host["ReadonlyRootfs"], name
        assert all(host[limit] for limit in ("Memory", "NanoCpus", "PidsLimit")), f"{name} has no limits"
        assert host["CapDrop"] == ["ALL"], name
        assert docker("exec", container["Id"], "id", "-u").strip() != "0", f"{name} runs as root"
        for bindings in container["NetworkSettings"]["Ports"].values():
            assert all(binding["HostIp"] == "127.0.0.1" for binding in bindings or []), name


def test_a_wrong_setting_stops_the_container_with_a_line_that_names_it(stack: ComposeStack) -> None:
    done = stack.compose("run", "--rm", "-e", "MANYHEADS_MAX_TAKE=plenty", "head_worker", check=False)
    assert done.returncode == 2
    (line,) = [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("{")]
    assert "MANYHEADS_MAX_TAKE='plenty' is wrong: it takes records that one compute takes at most" in line


async def test_killed_workers_lose_no_request(stack: ComposeStack) -> None:
    victims = [stack.containers(service)[0] for service in WORKERS]

    async def strike() -> None:
        for victim in victims:
            await asyncio.to_thread(stack.crash, victim)
        await restarted(stack, victims)

    await under_load(stack, strike)


async def test_a_restarted_broker_loses_no_request(stack: ComposeStack) -> None:
    brokers = stack.containers("kafka")

    async def strike() -> None:
        await asyncio.to_thread(stack.compose, "restart", "kafka")
        await restarted(stack, brokers)

    await under_load(stack, strike)


async def test_more_head_workers_share_the_tenants(stack: ComposeStack) -> None:
    async def strike() -> None:
        await asyncio.to_thread(stack.up, "--no-recreate", "--scale", "head_worker=4")

    await under_load(stack, strike)
    admin = AdminClient({**stack.settings.confluent()})
    group = head_group(EN, C0)

    def shares() -> list[int]:
        members = admin.describe_consumer_groups([group])[group].result().members
        return [len(member.assignment.topic_partitions) for member in members]

    # Partitions move while everybody is healthy: whoever has one keeps it until it has answered what it took.
    until(lambda: shares() == [4, 4, 4, 4], lambda: f"the shares are {shares()}")
    sees(Prometheus(stack.prometheus), encoder_worker=1, head_worker=4, lag=1)


async def test_it_stops_in_order_and_comes_back_as_it_was(stack: ComposeStack) -> None:
    stack.compose("stop")
    codes = {each["Name"]: each["State"]["ExitCode"] for each in stack.containers(every=True)}
    assert _SIGKILL not in codes.values(), f"somebody needed longer than the grace period: {codes}"
    assert all(code == 0 for name, code in codes.items() if any(worker in name for worker in WORKERS)), codes
    stack.up("--no-recreate")
    seeded = stack.compose("logs", "setup").stdout
    assert "built before" in seeded
    assert "7 tenants from before" in seeded
    async with Client(stack.settings) as client:
        answer = await client.predict("acme-bank", "move 40 euros to my savings")
    assert answer.intent.name == "transfer_money"
