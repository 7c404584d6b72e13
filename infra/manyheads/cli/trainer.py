"""A program that trains heads of the demo's tenants: ``python -m manyheads.cli.trainer FOLDER TENANT...``.

numpy trains on one core however many there are, so :mod:`manyheads.cli.trainers` runs one of these on each. It reads
the encoder's record from ``FOLDER/encoder`` and its files from the model store (``MANYHEADS_STORE_URL``), writes each
head to ``FOLDER/<tenant>.onnx``, and then says so in one JSON object a line on standard output.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from manyheads.cli.demo.utterances import load_tenants
from manyheads.cli.settings import model_store
from manyheads.cli.teaching import Teacher
from manyheads.topics.errors import ManyheadsError
from manyheads.topics.registry import EncoderRecord

ENCODER_FILE = "encoder"


def main(folder: Path, tenants: Sequence[str]) -> int:
    """Train the tenants' heads; the exit code."""
    try:
        record = EncoderRecord.from_bytes((folder / ENCODER_FILE).read_bytes())
        teacher = Teacher.load(record, model_store(None))
        for examples in load_tenants():
            if examples.tenant in tenants:
                lesson = teacher.teach(examples.tenant, examples)
                (folder / f"{lesson.tenant}.onnx").write_bytes(lesson.model)
                scores = teacher.score(lesson, examples.held_out)
                line = {"tenant": lesson.tenant, "version": lesson.version, "view": str(lesson.view)}
                print(json.dumps(line | {"scores": asdict(scores)}), flush=True)
    except ManyheadsError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
