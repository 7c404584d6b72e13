"""A loaded encoder: texts in, what heads read out. Serving and training share it."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, islice
from pathlib import Path
from typing import Self

from manyheads.encoder_worker.backend import Backend, Floats
from manyheads.encoder_worker.batching import plan_runs
from manyheads.encoder_worker.devices import TOKENIZER_FILE, Device, open_backend, resolve_device
from manyheads.encoder_worker.graph_io import EncoderCard
from manyheads.encoder_worker.rows import Encoded, read_view
from manyheads.encoder_worker.tokenizer import TextTokenizer, TokenisedText
from manyheads.infra.telemetry import event
from manyheads.topics.errors import ArtifactError, ErrorCode, InternalError, ManyheadsError
from manyheads.topics.messages import Embedding, StageTiming
from manyheads.topics.registry import EncoderRecord
from manyheads.topics.tensor import Precision
from manyheads.topics.text import checked_text
from manyheads.topics.views import View

_log = logging.getLogger(__name__)
_WINDOW = 1_024
_NO_TIME = StageTiming(queue_ms=0.0, compute_ms=0.0)


@dataclass(frozen=True, slots=True)
class EncoderOptions:
    """How an encoder runs on this machine; what it computes does not depend on them."""

    device: Device = Device.AUTO
    threads: int = 1
    """threads of one run on a CPU"""
    tokens_per_run: int | None = None
    """at most so many tokens share a run, unless one text alone has more; None leaves it to the backend"""


@dataclass(frozen=True, slots=True)
class TextItem:
    """One text, and what is read of it."""

    text: str
    view: View
    precision: Precision = Precision.INT8


@dataclass(frozen=True, slots=True)
class EncodedRun:
    """The outcomes of items that were computed together, by index. Items of one text are computed once, in one run."""

    tokens: int
    """how many the encoder read, special tokens included; 0 for items that never reached it"""
    outcomes: tuple[tuple[int, Encoded | ManyheadsError], ...]


@dataclass(frozen=True, slots=True)
class _Text:
    """One text that is to be computed, and all items that read it, by index."""

    tokens: TokenisedText
    items: list[tuple[int, TextItem]]


class EncoderModel:
    """An encoder ready to run. Use it from one thread at a time.

    An item's outcome is the same, bit by bit, whatever other items it comes with (batch invariance).

    Attributes:
        record: the registry's record of this encoder.
    """

    def __init__(
        self, record: EncoderRecord, tokenizer: TextTokenizer, backend: Backend, tokens_per_run: int | None = None
    ) -> None:
        self.record = record
        self._tokenizer = tokenizer
        self._backend = backend
        self._tokens_per_run = tokens_per_run or backend.tokens_per_run
        self._views = frozenset(record.views)

    @classmethod
    def load(cls, record: EncoderRecord, files: Mapping[str, Path], options: EncoderOptions = EncoderOptions()) -> Self:
        """The encoder of a record.

        Args:
            record: of the registry, or :meth:`EncoderBuild.record`.
            files: local files by their role in ``record.artifacts``; only those that the device needs.
            options: how it runs.

        Raises:
            ArtifactError: artifact_missing, artifact_corrupt, or space_mismatch if a file is not of this encoder.
            InvalidSettings: the device is not there.
        """
        device = resolve_device(options.device, set(files))
        if TOKENIZER_FILE not in files:
            raise ArtifactError(
                ErrorCode.ARTIFACT_MISSING,
                f"the encoder has no {TOKENIZER_FILE}; build and publish it again",
                file=TOKENIZER_FILE,
            )
        backend = open_backend(EncoderCard.of(record), files, device, options.threads)
        tokenizer = TextTokenizer.load(files[TOKENIZER_FILE], record.max_tokens)
        return cls(record, tokenizer, backend, options.tokens_per_run)

    def offers(self, view: View) -> bool:
        """Whether heads may read ``view``."""
        return view in self._views

    def embed(
        self, texts: Iterable[str], view: View, precision: Precision = Precision.INT8
    ) -> Iterator[tuple[int, Embedding | ManyheadsError]]:
        """Each text's index with its embedding as it travels, or the typed error that the text deserves.

        Texts are taken as they are needed, 1,024 at a time, and of those the shortest come first. The timing in the
        messages is zero.
        """
        rest = iter(texts)
        first = 0
        while items := [TextItem(text, view, precision) for text in islice(rest, _WINDOW)]:
            for run in self.encode(items):
                for index, outcome in run.outcomes:
                    message = self.message(outcome, _NO_TIME) if isinstance(outcome, Encoded) else outcome
                    yield first + index, message
            first += len(items)

    def message(self, encoded: Encoded, timing: StageTiming) -> Embedding:
        """The message to the head stage."""
        return Embedding(
            space=self.record.space,
            encoder=self.record.version,
            view=encoded.view,
            tensor=encoded.tensor,
            spans=encoded.spans,
            shapes=encoded.shapes,
            timing=timing,
            truncation=encoded.truncation,
        )

    def encode(self, items: Sequence[TextItem]) -> Iterator[EncodedRun]:
        """Compute the items, run by run: each index in exactly one run, one item's failure its own outcome."""
        found: dict[str, _Text] = {}
        refused: list[tuple[int, ManyheadsError]] = []
        for index, item in enumerate(items):
            try:
                self._check_view(item)
                if item.text not in found:
                    found[item.text] = _Text(self._tokenizer.tokenise(checked_text(item.text)), [])
                found[item.text].items.append((index, item))
            except ManyheadsError as error:
                refused.append((index, error))
        if refused:
            yield EncodedRun(0, tuple(refused))
        texts = list(found.values())
        for positions in plan_runs([len(text.tokens.ids) for text in texts], self._tokens_per_run):
            run = [texts[position] for position in positions]
            yield EncodedRun(sum(len(text.tokens.ids) for text in run), tuple(self._run(run)))

    def _check_view(self, item: TextItem) -> None:
        if not self.offers(item.view):
            raise ArtifactError(
                ErrorCode.SPACE_MISMATCH,
                f"encoder {self.record.version} offers no view {item.view}; it has "
                f"{' '.join(map(str, self.record.views))}, so train the head on one of these",
                view=str(item.view),
                encoder=self.record.version,
            )

    def _run(self, batch: Sequence[_Text]) -> Iterator[tuple[int, Encoded | ManyheadsError]]:
        layers = sorted({layer for text in batch for _, item in text.items for layer in item.view.layers})
        try:
            states = self._backend.run([text.tokens.ids for text in batch], layers)
        except Exception as error:  # the run's members must not share one's fate
            event(_log, "encoder_run_failed", level=logging.ERROR, exc_info=True, texts=len(batch))
            if len(batch) > 1:
                for member in batch:
                    yield from self._run([member])
            else:
                yield from ((index, _defect(error)) for index, _ in batch[0].items)
            return
        ends = accumulate(len(text.tokens.ids) for text in batch)
        for text, end in zip(batch, ends, strict=True):
            # The special tokens at either end are in no view.
            start = end - len(text.tokens.ids) + 1
            read: dict[tuple[View, Precision], Encoded | ManyheadsError] = {}
            for index, item in text.items:
                what = item.view, item.precision
                if what not in read:
                    own = [states[layer][start : end - 1] for layer in item.view.layers]
                    read[what] = _encoded(item, text.tokens, own)
                yield index, read[what]


def _encoded(item: TextItem, text: TokenisedText, states: Sequence[Floats]) -> Encoded | ManyheadsError:
    try:
        return read_view(item.text, text, states, item.view, item.precision)
    except InternalError as error:
        return error


def _defect(error: Exception) -> InternalError:
    return InternalError(
        ErrorCode.INTERNAL,
        f"the encoder failed on this text ({type(error).__name__}); send it again later, and see the worker's log",
        cause=type(error).__name__,
    )
