"""Run one benchmark: ``python -m benchmarks p1``."""

import importlib
import sys

BENCHMARKS = {
    "p1": "the encoder worker through Kafka against the same encoder in process",
    "p2": "mixed real lengths: the flat graph against padded batches and sentence-transformers",
    "p3": "the whole pipeline under an open-loop Poisson load, article-size models, two cores",
    "p6": "bytes per request on each topic, at each precision",
    "p10a": "interactive p99 beside a bulk job that never ends, against p99 alone",
    "p11": "what the SDK costs: its CPU and latency against request-reply by hand with aiokafka",
    "p12": "logs in bulk against the same models in process; with de-duplication and without",
    "p13": "replay of retained embeddings against running the whole pipeline again",
    "lag": "one round of the lag monitor over 1,000 partitions and 10 groups",
    "tracing": "what traces cost the stage loop and a client's calls",
    "quality": "accuracy of heads, int8 throughout against float32 throughout",
}


def main(arguments: list[str]) -> int:
    """Run the benchmark that the first argument names; the rest are its own."""
    if not arguments or arguments[0] not in BENCHMARKS:
        print("usage: python -m benchmarks <id> [options]\n")
        for name, what in BENCHMARKS.items():
            print(f"  {name:8} {what}")
        return 0 if arguments in (["--help"], ["-h"]) else 2
    module = importlib.import_module(f"benchmarks.{arguments[0]}")
    status: int = module.run(arguments[1:])
    return status


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
