"""Real texts of mixed lengths, from the public data sets where they are at hand."""

import json
import os
import random
from pathlib import Path


def data_folder() -> Path | None:
    """The folder of CLINC150 and SNIPS as JSON lines: MANYHEADS_DATA, else ../shared/data; None where missing."""
    named = os.environ.get("MANYHEADS_DATA")
    folder = Path(named) if named else Path(__file__).resolve().parents[2] / "shared" / "data"
    return folder if (folder / "snips").is_dir() else None


def mixed_texts(count: int, seed: int = 0) -> tuple[list[str], str]:
    """``count`` texts in random order, and the name of their source.

    CLINC150 and SNIPS test utterances in equal parts, where they are at hand; else the demo's own utterances.
    """
    rng = random.Random(seed)
    folder = data_folder()
    if folder is None:
        from manyheads.cli.demo.utterances import load_tenants

        texts = [example.text for tenant in load_tenants() for example in tenant.train]
        source = "the demo's utterances"
    else:
        clinc = [text for path in sorted((folder / "clinc150").glob("*/test.jsonl")) for text in _texts(path)]
        snips = _texts(folder / "snips" / "test.jsonl")
        rng.shuffle(clinc)
        texts = snips + clinc[: len(snips)]
        source = "CLINC150 and SNIPS test utterances"
    rng.shuffle(texts)
    return [texts[i % len(texts)] for i in range(count)], source


def _texts(path: Path) -> list[str]:
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line)["text"] for line in lines]


def texts_of_tokens(tokens: int, count: int) -> list[str]:
    """``count`` texts of exactly ``tokens`` tokens, the two special ones included: words of one wordpiece each."""
    rng = random.Random(tokens)
    return [" ".join(rng.choices(_WORDS, k=tokens - 2)) for _ in range(count)]


_SENTENCE = (
    "please move forty euros from my current account to the savings account today and tell me when this is done "
    "because we need it before noon or at least send a short note about what happened with our last order"
)
_WORDS = _SENTENCE.split()
