"""Workers' logs: one event a line, and no tenant's text."""

import json

from manyheads.producers import Client
from manyheads.topics.errors import ManyheadsError
from tests.broker.pipelines import PLAIN, SHOP, Pipelines

MARKER = "xylophonequartz"


async def test_no_text_of_a_tenant_is_in_a_workers_log(pipelines: Pipelines) -> None:
    failed = 0
    async with Client(pipelines.stack.settings) as client:
        for who in (SHOP.tenant, PLAIN.tenant, "nobody-at-all"):
            try:
                await client.predict(who, f"please {MARKER} my order", timeout=30)
            except ManyheadsError:
                failed += 1
    assert failed == 1
    logs = [path.read_text() for path in pipelines.stack.workers.folder.glob("*.log")]
    assert len(logs) >= 5
    lines = [json.loads(line) for log in logs for line in log.splitlines()]
    assert {"worker_ready", "head_loaded", "encoder_loaded"} <= {line["event"] for line in lines}
    assert MARKER not in "".join(logs)
