"""The FastAPI service: on a running pipeline, and its errors on a pipeline in memory."""

import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from examples.fastapi_service import STATUS, app, the_client
from manyheads.producers import ErrorCode
from manyheads.producers.testing import SILENCE, Fails, FakeNlu
from manyheads.topics.errors import error_for
from tests.examples.conftest import Pipeline

EXAMPLES = Path(__file__).parents[2] / "examples"
_ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+")


@pytest.fixture
def service(pipeline: Pipeline) -> Iterator[httpx.Client]:
    """The service, started as its docstring says, on a free port. It must end well on SIGTERM."""
    process = subprocess.Popen(
        [sys.executable, "-m", "uvicorn", "--app-dir", str(EXAMPLES), "--port", "0", "fastapi_service:app"],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"MANYHEADS_BOOTSTRAP_SERVERS": pipeline.bootstrap_servers},
    )
    assert process.stderr is not None
    try:
        address = next((found[0] for line in process.stderr if (found := _ADDRESS.search(line))), None)
        assert address is not None, "uvicorn did not start"
        with httpx.Client(base_url=address, params={"within": 30}, timeout=60) as client:
            yield client
    finally:
        process.terminate()
        _, said = process.communicate(timeout=60)
    assert "Application shutdown complete" in said


@pytest.fixture
def nlu() -> FakeNlu:
    """A pipeline that says what a test wants."""
    return FakeNlu()


@pytest.fixture
async def web(nlu: FakeNlu) -> AsyncIterator[httpx.AsyncClient]:
    """The service around a client of the pipeline in memory."""
    transport = httpx.ASGITransport(app)
    async with nlu.client() as client, httpx.AsyncClient(transport=transport, base_url="http://service") as web:
        app.dependency_overrides[the_client] = lambda: client
        yield web
        app.dependency_overrides.clear()


async def ask(web: httpx.AsyncClient, text: str = "hello", within: float = 30.0) -> httpx.Response:
    """What the service answers to acme-bank."""
    return await web.post("/tenants/acme-bank/understand", json={"text": text}, params={"within": within})


def test_it_answers_over_a_real_pipeline(service: httpx.Client, pipeline: Pipeline) -> None:
    understood = service.post(f"/tenants/{pipeline.tenant}/understand", json={"text": pipeline.text})
    assert understood.status_code == 200
    found = understood.json()
    assert found["intent"]["name"] == pipeline.intent
    assert [(each["label"], each["text"]) for each in found["entities"]] == list(pipeline.entities)
    assert found["head"] == pipeline.head
    unknown = service.post("/tenants/nobody/understand", json={"text": "hello"})
    assert (unknown.status_code, unknown.json()["code"]) == (404, "unknown_tenant")


@pytest.mark.parametrize("code", ErrorCode)
async def test_every_error_has_a_status_and_its_code(nlu: FakeNlu, web: httpx.AsyncClient, code: ErrorCode) -> None:
    nlu.on("acme-bank", Fails(code, "as scripted"))
    answer = await ask(web)
    assert answer.status_code == STATUS.get(type(error_for(code, "")), 500)
    assert answer.json() == {"code": code, "message": "as scripted"}
    assert ("Retry-After" in answer.headers) is (answer.status_code == 503)


async def test_a_text_that_cannot_be_used(web: httpx.AsyncClient) -> None:
    answer = await ask(web, text=" ")
    assert (answer.status_code, answer.json()["code"]) == (422, "text_empty")


async def test_nobody_answers_in_time(nlu: FakeNlu, web: httpx.AsyncClient) -> None:
    nlu.on("acme-bank", SILENCE)
    answer = await ask(web, within=0.01)
    assert (answer.status_code, answer.json()["code"]) == (504, "deadline_exceeded")
