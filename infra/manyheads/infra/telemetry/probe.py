"""``python -m manyheads.infra.telemetry.probe [readyz|healthz]``: ask the process on this machine how it is.

For the health check of a container, which has no other client. Prints one line; ends with 0 for a yes, with 1 for a no
or no answer, with 2 if it cannot ask. ``MANYHEADS_METRICS_PORT`` and ``MANYHEADS_METRICS_HOST`` say where, as they say
it to the worker.
"""

import http.client
import json
import os
import sys
from collections.abc import Sequence

_PAGES = ("readyz", "healthz")
_TIMEOUT_S = 5.0
_ANY_ADDRESS = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - asked, not listened on
"""what a server listens on, and where to ask it"""


def main(arguments: Sequence[str]) -> int:
    """Ask once; the exit code."""
    page = arguments[0] if arguments else _PAGES[0]
    port = os.environ.get("MANYHEADS_METRICS_PORT", "")
    if len(arguments) > 1 or page not in _PAGES or not port.isdecimal() or not 0 < int(port) < 1 << 16:
        sys.stdout.write(
            "usage: MANYHEADS_METRICS_PORT=9100 python -m manyheads.infra.telemetry.probe [readyz|healthz]\n"
        )
        return 2
    host = os.environ.get("MANYHEADS_METRICS_HOST", "")
    well, line = ask(_ANY_ADDRESS.get(host, host), int(port), page)
    sys.stdout.write(f"{page}: {line}\n")
    return 0 if well else 1


def ask(host: str, port: int, page: str) -> tuple[bool, str]:
    """Whether the answer is yes, and what there is to say about it."""
    connection = http.client.HTTPConnection(host, port, timeout=_TIMEOUT_S)
    try:
        connection.request("GET", f"/{page}")
        answer = connection.getresponse()
        return answer.status == http.client.OK, _told(answer.status, answer.read())
    except (OSError, http.client.HTTPException) as error:
        return False, f"no answer from {host}:{port}: {error}"
    finally:
        connection.close()


def _told(status: int, body: bytes) -> str:
    if status == http.client.OK:
        return "yes"
    try:
        told = json.loads(body)
        waiting = [f"{name}: {part['detail']}" for name, part in told["parts"].items() if not part["ready"]]
        if not told["live"]:
            waiting.append(f"the loop has not turned for {told['seconds_since_turn']:.0f} s")
    except (ValueError, TypeError, KeyError, AttributeError):
        return f"no, status {status}"
    return f"no; {'; '.join(waiting) or 'it has not started yet'}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
