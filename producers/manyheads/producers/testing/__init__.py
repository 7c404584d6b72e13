"""A pipeline in memory, for the tests of programs that use the SDK::

    nlu = FakeNlu()
    nlu.on("acme-bank", Says("transfer_money", entities=[("amount", "40 euros")]))
    async with nlu.client() as client:
        answer = await client.predict("acme-bank", "move 40 euros to my savings")

:class:`FakeClient` is a :class:`manyheads.producers.Client` with all its behaviour: the same code runs, down to the
bytes of requests and replies. Only Kafka and the workers are replaced, by what you script.
"""

from manyheads.producers.testing.client import FakeClient
from manyheads.producers.testing.clock import FakeClock
from manyheads.producers.testing.nlu import FakeNlu
from manyheads.producers.testing.script import SILENCE, Asked, Fails, Says, Script, Silence

__all__ = ["SILENCE", "Asked", "Fails", "FakeClient", "FakeClock", "FakeNlu", "Says", "Script", "Silence"]
