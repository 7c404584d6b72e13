"""Heads that the tests of this folder share, trained once."""

import onnx
import pytest

from manyheads.head_worker import Head
from manyheads.head_worker.head import TEXTS
from manyheads.head_worker.training import TrainedHead, fit_head
from tests.unit.head_worker.school import POOLED, lessons


@pytest.fixture(scope="session")
def tagged() -> TrainedHead:
    """A head with intents and entities."""
    return fit_head(lessons(140))


@pytest.fixture(scope="session")
def misnamed(tagged: TrainedHead) -> bytes:
    """The file of ``tagged`` with an optional input whose name is not UTF-8."""
    proto = onnx.load_from_string(tagged.model)
    for output in proto.graph.output:
        for dimension in output.type.tensor_type.shape.dim:
            if dimension.dim_param == TEXTS:  # named as the input; an output's damage is another defect
                dimension.dim_param = "batch"
    model: bytes = proto.SerializeToString()
    Head.load(model)
    return model.replace(TEXTS.encode(), b"tex\xff\xfe")


@pytest.fixture(scope="session")
def plain() -> TrainedHead:
    """A head with intents alone, of the pooled view."""
    return fit_head(lessons(140, view=POOLED, entities=False))


@pytest.fixture(scope="session")
def tagged_head(tagged: TrainedHead) -> Head:
    return Head.load(tagged.model)


@pytest.fixture(scope="session")
def plain_head(plain: TrainedHead) -> Head:
    return Head.load(plain.model)
