"""A real Prometheus, in a process of its own: the configuration of infra/prometheus, with other targets."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import urlopen

import yaml

from manyheads.infra.broker.ports import LOOPBACK
from manyheads.infra.process import Guard

FOLDER = Path(__file__).parents[2] / "infra" / "prometheus"
_PATIENCE_S = 120.0
_LOOK_EVERY_S = 0.2


@dataclass(frozen=True)
class Sample:
    """One element of an instant vector."""

    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True)
class Prometheus:
    """What its HTTP API says. A query that it refuses is an AssertionError with its words."""

    url: str

    def instant(self, query: str, at: float | None = None) -> list[Sample]:
        """The query's vector, now or at a time in seconds since 1970."""
        found = self._get("query", query=query, **({} if at is None else {"time": str(at)}))
        assert found["resultType"] == "vector", query
        return [Sample(each["metric"], float(each["value"][1])) for each in found["result"]]

    def series(self, query: str, since: float) -> list[list[float]]:
        """The values of each series of the query from ``since`` until now, as a graph would show them."""
        found = self._get("query_range", query=query, start=str(since), end=str(time.time()), step="1")
        return [[float(value) for _, value in each["values"]] for each in found["result"]]

    def label_values(self, label: str, matching: str) -> list[str]:
        """The values of a label among the series that match."""
        found: list[str] = self._get(f"label/{label}/values", **{"match[]": matching})
        return found

    def metric_names(self) -> set[str]:
        """Every metric that has been scraped."""
        return set(self._get("label/__name__/values"))

    def targets(self) -> list[dict[str, Any]]:
        """What it scrapes."""
        found: list[dict[str, Any]] = self._get("targets")["activeTargets"]
        return found

    def rules(self) -> list[dict[str, Any]]:
        """Every rule, with its health and its active alerts."""
        return [rule for group in self._get("rules")["groups"] for rule in group["rules"]]

    def _get(self, path: str, **parameters: str) -> Any:
        try:
            with urlopen(f"{self.url}/api/v1/{path}?{urlencode(parameters)}", timeout=30) as response:
                return json.load(response)["data"]
        except HTTPError as error:
            with error:
                raise AssertionError(f"{path} of {parameters}: {error.read().decode()}") from error


def start_prometheus(guard: Guard, program: str, port: int, targets: Mapping[str, Sequence[int]]) -> Prometheus:
    """A Prometheus that scrapes ports of this machine every 2 s; it ends with the guard.

    Args:
        guard: owns the process; its files are in the guard's folder.
        program: the path of the binary.
        port: where it listens.
        targets: the ports of each job, those of infra/prometheus/prometheus.yml among them.
    """
    config = yaml.safe_load((FOLDER / "prometheus.yml").read_text("utf-8"))
    config["global"] |= {"scrape_interval": "2s", "scrape_timeout": "2s", "evaluation_interval": "1s"}
    config["rule_files"] = [str(FOLDER / name) for name in config["rule_files"]]
    assert {job["job_name"] for job in config["scrape_configs"]} <= targets.keys()
    config["scrape_configs"] = [
        {"job_name": job, "static_configs": [{"targets": [f"{LOOPBACK}:{each}" for each in ports]}]}
        for job, ports in targets.items()
    ]
    file = guard.folder / "prometheus.yml"
    file.write_text(yaml.safe_dump(config), "utf-8")
    arguments = {
        "config.file": file,
        "storage.tsdb.path": guard.folder / "prometheus",
        "web.listen-address": f"{LOOPBACK}:{port}",
    }
    log = guard.folder / "prometheus.log"
    guard.run("prometheus", [program, *(f"--{name}={value}" for name, value in arguments.items())], log)
    url = f"http://{LOOPBACK}:{port}"

    def ready() -> bool:
        code = guard.wait("prometheus", 0.0)
        assert code is None, f"Prometheus ended with {code}:\n{log.read_text('utf-8')}"
        try:
            with urlopen(f"{url}/-/ready", timeout=30):
                return True
        except HTTPError as error:
            error.close()
        except URLError:
            pass
        return False

    until(ready, lambda: f"Prometheus is not ready:\n{log.read_text('utf-8')}")
    return Prometheus(url)


def until(condition: Callable[[], bool], failure: Callable[[], str]) -> None:
    """Return once the condition is true; fail with the words of ``failure`` if it does not become so."""
    deadline = time.monotonic() + _PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, failure()
        time.sleep(_LOOK_EVERY_S)
