"""p2: mixed real lengths on one core: what the flat, unpadded graph is worth.

Three ways to encode the same texts with the same weights (all-MiniLM-L6-v2), taken in turn, round after round:

- flat: the encoder as it serves: 64 texts at a time, sorted by length, cut by tokens, unpadded;
- padded: the same int8 graph, batches of 16 in arrival order, each padded to its longest text;
- sentence-transformers: float32, its own batching (32, sorted by length).
"""

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.corpus import mixed_texts
from benchmarks.report import Verdict
from manyheads.encoder_worker import EncoderModel, TextItem
from manyheads.encoder_worker.build import build_minilm, build_random
from manyheads.encoder_worker.build.encoder_build import EncoderBuild
from manyheads.encoder_worker.build.minilm import minilm_file
from manyheads.encoder_worker.onnx_backend import OnnxBackend
from manyheads.encoder_worker.tokenizer import TextTokenizer
from manyheads.topics.names import ring
from manyheads.topics.views import View

TEXTS, ROUNDS = 1_024, 5
TAKEN = 64
PADDED_BATCH = 16
GOAL_PADDED, GOAL_FLOAT = 3.0, 5.0


def _flat(build: EncoderBuild, view: View) -> Callable[[Sequence[str]], None]:
    model = EncoderModel.load(build.record(ring("en")), build.files)

    def encode(texts: Sequence[str]) -> None:
        for start in range(0, len(texts), TAKEN):
            for _ in model.encode([TextItem(text, view) for text in texts[start : start + TAKEN]]):
                pass

    return encode


def _padded(build: EncoderBuild, view: View) -> Callable[[Sequence[str]], None]:
    backend = OnnxBackend(build.files["model.onnx"])
    tokenizer = TextTokenizer.load(build.files["tokenizer.json"], build.card.max_tokens)

    def encode(texts: Sequence[str]) -> None:
        for start in range(0, len(texts), PADDED_BATCH):
            ids = [list(tokenizer.tokenise(text).ids) for text in texts[start : start + PADDED_BATCH]]
            longest = max(map(len, ids))
            backend.run([row + [0] * (longest - len(row)) for row in ids], view.layers)

    return encode


def _sentence_transformers() -> Callable[[Sequence[str]], None]:
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    import torch
    from sentence_transformers import SentenceTransformer
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    torch.set_num_threads(1)
    model = SentenceTransformer(str(minilm_file("model.safetensors").parent), device="cpu")

    def encode(texts: Sequence[str]) -> None:
        model.encode(list(texts), show_progress_bar=False)

    return encode


def _rates(ways: dict[str, Callable[[Sequence[str]], None]], texts: Sequence[str]) -> dict[str, list[float]]:
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for encode in ways.values():
        encode(texts[:128])
    for _ in range(ROUNDS):
        for name, encode in ways.items():
            start = time.perf_counter()
            encode(texts)
            rates[name].append(len(texts) / (time.perf_counter() - start))
    return rates


def _ratio(rates: dict[str, list[float]], over: str) -> float:
    return statistics.median(a / b for a, b in zip(rates["flat"], rates[over], strict=True))


def run(arguments: list[str]) -> int:
    """Print the table and the verdict. Takes no options."""
    if arguments:
        print("p2 takes no options")
        return 2
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    texts, source = mixed_texts(TEXTS)
    console = Console(width=100)
    with tempfile.TemporaryDirectory() as folder:
        minilm = build_minilm(Path(folder) / "minilm")
        article = build_random(Path(folder) / "article")
        view = View.parse("pooled:3,4,5,6")
        with console.status("MiniLM: flat, padded, sentence-transformers"):
            rates = _rates(
                {
                    "flat": _flat(minilm, view),
                    "padded": _padded(minilm, view),
                    "sentence-transformers float32": _sentence_transformers(),
                },
                texts,
            )
        with console.status("random-6x768: flat, padded"):
            wide = _rates({"flat": _flat(article, view), "padded": _padded(article, view)}, texts[:512])
    table = Table(title=f"Texts/s on one core; {TEXTS:,} {source}, {ROUNDS} rounds in turn, medians")
    for heading in ("encoder", "way", "texts/s", "flat is"):
        table.add_column(heading, justify="left" if heading in {"encoder", "way"} else "right")
    for encoder, measured in (("all-MiniLM-L6-v2", rates), ("random-6x768", wide)):
        for name, values in measured.items():
            times = "" if name == "flat" else f"{_ratio(measured, name):.2f}x"
            table.add_row(encoder, name, f"{statistics.median(values):,.0f}", times)
    console.print(table)
    padded, floats = _ratio(rates, "padded"), _ratio(rates, "sentence-transformers float32")
    verdict = Verdict(
        "p2",
        padded >= GOAL_PADDED and floats >= GOAL_FLOAT,
        f"{padded:.2f}x padded batches of 16, {floats:.2f}x sentence-transformers float32 "
        f"(random-6x768: {_ratio(wide, 'padded'):.2f}x padded)",
        f"{GOAL_PADDED:.0f}x and {GOAL_FLOAT:.0f}x",
    )
    print(verdict.line())
    return 0
