"""Understanding as a web service.

pip install manyheads fastapi uvicorn
MANYHEADS_BOOTSTRAP_SERVERS=localhost:9092 uvicorn fastapi_service:app

curl localhost:8000/tenants/acme-bank/understand --json '{"text": "move 40 euros to my savings"}'
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import Depends, FastAPI, Query, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from manyheads.producers import (
    Answer,
    BrokerError,
    Client,
    DeadlineExceeded,
    Entity,
    Intent,
    InvalidRequest,
    ManyheadsError,
    Overloaded,
    RoutingError,
)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[dict[str, Client]]:
    """One client for all requests of this process; Kafka's address comes from the environment."""
    async with Client() as client:
        yield {"nlu": client}


def the_client(request: Request) -> Client:
    """The client of :func:`lifespan`; tests put a fake one into its place."""
    client: Client = request.state.nlu
    return client


app = FastAPI(title="Understanding", lifespan=lifespan)

STATUS: dict[type[ManyheadsError], int] = {
    InvalidRequest: 422,
    RoutingError: 404,
    Overloaded: 503,
    BrokerError: 503,
    DeadlineExceeded: 504,
}


@app.exception_handler(ManyheadsError)
async def failed(request: Request, error: ManyheadsError) -> JSONResponse:
    """The error as a status and its stable code; 500 for what the caller can do nothing about."""
    status = next((status for kind, status in STATUS.items() if isinstance(error, kind)), 500)
    headers = {"Retry-After": "1"} if status == 503 else None
    return JSONResponse({"code": error.code, "message": error.message}, status, headers)


class Question(BaseModel):
    """What somebody said."""

    text: str


class Understanding(BaseModel):
    """What it means."""

    intent: Intent
    entities: tuple[Entity, ...]
    head: str

    @classmethod
    def of(cls, answer: Answer) -> "Understanding":
        """The part of an answer that our callers see."""
        return cls(intent=answer.intent, entities=answer.entities, head=answer.versions.head)


@app.post("/tenants/{tenant}/understand")
async def understand(
    tenant: str,
    question: Question,
    nlu: Annotated[Client, Depends(the_client)],
    within: Annotated[float, Query(gt=0, le=30)] = 2.0,
) -> Understanding:
    """What a tenant's head makes of a text, ``within`` so many seconds."""
    return Understanding.of(await nlu.predict(tenant, question.text, timeout=within))
