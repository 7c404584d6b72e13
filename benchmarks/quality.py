"""quality: how good the heads are, with int8 throughout and with float32 throughout.

The demo's own trainer on public data: CLINC150, each of its ten domains a tenant (intents from means of layers 3-6),
and SNIPS (intents and entities from the words' rows of layers 3-6). int8 throughout is what runs by default: int8
encoder, int8 on the wire, int8 head. float32 throughout is the same chain, from the same seed, in full precision.
"""

import argparse
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks.report import Verdict
from manyheads.encoder_worker import EncoderModel, EncoderOptions
from manyheads.encoder_worker.build import Arithmetic as EncoderArithmetic
from manyheads.encoder_worker.build import BuildOptions, build_minilm
from manyheads.head_worker import Head
from manyheads.head_worker.building import Arithmetic as HeadArithmetic
from manyheads.head_worker.training import EntityExample, LabelledEmbedding, Scores, TrainingOptions, evaluate, fit_head
from manyheads.topics.errors import ManyheadsError
from manyheads.topics.names import ring
from manyheads.topics.tensor import Precision
from manyheads.topics.views import View

DATA_VARIABLE = "MANYHEADS_DATA"
DEFAULT_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"

GOAL_CLINC, GOAL_SNIPS_INTENTS, GOAL_SNIPS_F1 = 97.0, 98.5, 85.0
GOAL_COST_POINTS = 0.3

_POOLED, _WORDS = View.parse("pooled:3,4,5,6"), View.parse("words:3,4,5,6")
_THREADS = 2

Tick = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Chain:
    """One precision, from the encoder's products to the head's."""

    name: str
    encoder: EncoderArithmetic
    wire: Precision
    head: HeadArithmetic


INT8 = Chain("int8 throughout", EncoderArithmetic.INT8, Precision.INT8, HeadArithmetic.INT8)
FLOAT32 = Chain("float32 throughout", EncoderArithmetic.FLOAT32, Precision.FLOAT32, HeadArithmetic.FLOAT32)


@dataclass(frozen=True, slots=True)
class Text:
    """One labelled text of a data set."""

    text: str
    intent: str
    entities: tuple[EntityExample, ...]


@dataclass(frozen=True, slots=True)
class Figures:
    """What one chain reached, in percent on the test sets; calibration errors likewise."""

    clinc: float
    clinc_calibration: float
    snips_intents: float
    snips_f1: float
    snips_calibration: float
    seconds: float
    """of training all heads"""


class Bench:
    """One chain at work on texts."""

    def __init__(self, chain: Chain, folder: Path, seed: int) -> None:
        self._chain = chain
        self._seed = seed
        self.seconds = 0.0
        build = build_minilm(folder, options=BuildOptions(arithmetic=chain.encoder))
        self._encoder = EncoderModel.load(build.record(ring("en")), build.files, EncoderOptions(threads=_THREADS))

    def scores(self, train: Sequence[Text], test: Sequence[Text], view: View) -> Scores:
        """Of a head trained on ``train`` in its answers to ``test``."""
        options = TrainingOptions(seed=self._seed, arithmetic=self._chain.head)
        trained = fit_head(self._labelled(train, view), options)
        self.seconds += trained.report.seconds
        return evaluate(Head.load(trained.model), self._labelled(test, view))

    def _labelled(self, texts: Sequence[Text], view: View) -> list[LabelledEmbedding]:
        found: dict[int, LabelledEmbedding] = {}
        for index, outcome in self._encoder.embed([each.text for each in texts], view, self._chain.wire):
            if isinstance(outcome, ManyheadsError):
                raise outcome
            found[index] = LabelledEmbedding(outcome, texts[index].intent, texts[index].entities)
        return [found[index] for index in range(len(texts))]


def read_texts(file: Path) -> list[Text]:
    """The examples of a JSON lines file."""
    return [_text(json.loads(line)) for line in file.read_text(encoding="utf-8").splitlines()]


def _text(line: dict[str, object]) -> Text:
    entities = line.get("entities", [])
    assert isinstance(entities, list)
    return Text(str(line["text"]), str(line["intent"]), tuple(EntityExample(**entity) for entity in entities))


def _domains(data: Path) -> list[Path]:
    return sorted(path for path in (data / "clinc150").iterdir() if path.is_dir())


def _figures(chain: Chain, data: Path, folder: Path, seed: int, tick: Tick) -> Figures:
    bench = Bench(chain, folder, seed)
    tick()
    domains: list[Scores] = []
    for domain in _domains(data):
        domains.append(bench.scores(read_texts(domain / "train.jsonl"), read_texts(domain / "test.jsonl"), _POOLED))
        tick()
    snips = bench.scores(read_texts(data / "snips/train.jsonl"), read_texts(data / "snips/test.jsonl"), _WORDS)
    tick()
    assert snips.entities is not None
    return Figures(
        clinc=100 * sum(scores.intent_accuracy for scores in domains) / len(domains),
        clinc_calibration=100 * sum(scores.intent_calibration_error for scores in domains) / len(domains),
        snips_intents=100 * snips.intent_accuracy,
        snips_f1=100 * snips.entities.f1,
        snips_calibration=100 * snips.entities.calibration_error,
        seconds=bench.seconds,
    )


def _table(int8: Figures, float32: Figures) -> Table:
    table = Table(title="Test sets, in percent")
    for heading in ("", FLOAT32.name, INT8.name, "cost"):
        table.add_column(heading, justify="left" if not heading else "right")
    rows: list[tuple[str, Callable[[Figures], float]]] = [
        ("CLINC150 intents, mean of 10 tenants", lambda f: f.clinc),
        ("SNIPS intents", lambda f: f.snips_intents),
        ("SNIPS entities, F1 of exact spans", lambda f: f.snips_f1),
    ]
    for name, figure in rows:
        table.add_row(name, f"{figure(float32):.2f}", f"{figure(int8):.2f}", f"{figure(float32) - figure(int8):+.2f}")
    table.add_section()
    for name, figure in (
        ("calibration error, CLINC150 intents", lambda f: f.clinc_calibration),
        ("calibration error, SNIPS entities", lambda f: f.snips_calibration),
        ("training of 11 heads, s", lambda f: f.seconds),
    ):
        table.add_row(name, f"{figure(float32):.1f}", f"{figure(int8):.1f}", "")
    return table


def verdicts(int8: Figures, float32: Figures) -> Iterator[Verdict]:
    """One for each goal."""
    for name, figure, goal in (
        ("CLINC150, mean of 10 tenants", int8.clinc, GOAL_CLINC),
        ("SNIPS intents", int8.snips_intents, GOAL_SNIPS_INTENTS),
        ("SNIPS entities, F1", int8.snips_f1, GOAL_SNIPS_F1),
    ):
        yield Verdict("quality", figure >= goal, f"{name}: {figure:.2f}%", f"{goal:g}%")
    cost = max(float32.clinc - int8.clinc, float32.snips_intents - int8.snips_intents, float32.snips_f1 - int8.snips_f1)
    yield Verdict(
        "quality", cost <= GOAL_COST_POINTS, f"int8 costs {cost:.2f} points at most", f"{GOAL_COST_POINTS:g} points"
    )


def run(arguments: list[str]) -> int:
    """Print the table and a verdict for each goal."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks quality")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    data = Path(os.environ.get(DATA_VARIABLE) or DEFAULT_DATA)
    if not (data / "clinc150").is_dir() or not (data / "snips").is_dir():
        print(f"QUALITY SKIPPED no data sets in {data}; set {DATA_VARIABLE} to a folder with clinc150/ and snips/")
        return 0
    chains = (FLOAT32, INT8)
    with tempfile.TemporaryDirectory() as folder, Progress(transient=True) as progress:
        task = progress.add_task("", total=len(chains) * (2 + len(_domains(data))))
        figures: list[Figures] = []
        for chain in chains:
            progress.update(task, description=chain.name)
            figures.append(
                _figures(chain, data, Path(folder) / chain.name, options.seed, lambda: progress.advance(task))
            )
    float32, int8 = figures
    Console(width=100).print(_table(int8, float32))
    for verdict in verdicts(int8, float32):
        print(verdict.line())
    return 0
