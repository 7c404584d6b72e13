"""Which backend an encoder runs on, and which of its files that needs."""

import importlib.util
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

from manyheads.encoder_worker.backend import Backend
from manyheads.encoder_worker.graph_io import EncoderCard
from manyheads.topics.errors import ArtifactError, ErrorCode, InvalidSettings
from manyheads.topics.registry import ArtifactRef, EncoderRecord

GRAPH_FILE = "model.onnx"
WEIGHTS_FILE = "weights.safetensors"
TOKENIZER_FILE = "tokenizer.json"


class Device(StrEnum):
    """Where the network runs; ``auto`` is CUDA if it is there and the encoder has weights for it, else the CPU."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


def resolve_device(wanted: Device, names: set[str]) -> Device:
    """CPU or CUDA for an encoder with the files ``names``.

    Raises:
        InvalidSettings: CUDA is wanted and torch with CUDA is not there.
        ArtifactError: artifact_missing if the encoder lacks the file that the device needs.
    """
    has_weights = WEIGHTS_FILE in names
    cuda = wanted is not Device.CPU and (has_weights or wanted is Device.CUDA) and _cuda_available()
    if wanted is Device.CUDA and not cuda:
        raise InvalidSettings(
            ErrorCode.INVALID_SETTINGS,
            "MANYHEADS_DEVICE=cuda, but torch finds no CUDA device here; set it to cpu or auto, or install torch and "
            "the driver",
            setting="device",
        )
    device = Device.CUDA if cuda else Device.CPU
    needed = WEIGHTS_FILE if cuda else GRAPH_FILE
    if needed not in names:
        raise ArtifactError(
            ErrorCode.ARTIFACT_MISSING,
            f"the encoder has no {needed}, which {device} needs; build and publish it with that file",
            file=needed,
            device=device,
        )
    return device


def needed_files(record: EncoderRecord, device: Device) -> tuple[ArtifactRef, ...]:
    """The artifacts that an encoder needs on a resolved device."""
    needed = {TOKENIZER_FILE, WEIGHTS_FILE if device is Device.CUDA else GRAPH_FILE}
    return tuple(ref for ref in record.artifacts if ref.name in needed)


def open_backend(card: EncoderCard, files: Mapping[str, Path], device: Device, threads: int) -> Backend:
    """The backend of a resolved device, loaded and found to be the encoder of ``card``.

    Raises:
        ArtifactError: artifact_missing or artifact_corrupt; space_mismatch if the file is of another encoder, or this
            processor computes something else than its builder's.
    """
    if device is Device.CUDA:
        from manyheads.encoder_worker.torch_backend import TorchBackend  # noqa: PLC0415 - only where there is a GPU

        return TorchBackend.load(files[WEIGHTS_FILE], card, "cuda")
    from manyheads.encoder_worker.onnx_backend import OnnxBackend  # noqa: PLC0415 - a GPU worker lacks onnxruntime

    backend = OnnxBackend(files[GRAPH_FILE], threads)
    if backend.card != card:
        raise ArtifactError(
            ErrorCode.SPACE_MISMATCH,
            f"{GRAPH_FILE} is of the encoder {backend.card.space} ({backend.card.layers} x {backend.card.width}), the "
            f"registry says {card.space} ({card.layers} x {card.width}) or other views; register what was built",
            graph=backend.card.space,
            registry=card.space,
        )
    if backend.probe is not None:
        backend.probe.check(backend)
    return backend


def _cuda_available() -> bool:
    if importlib.util.find_spec("torch") is None:
        return False
    import torch  # noqa: PLC0415 - takes seconds; only asked where the encoder has weights for it

    return torch.cuda.is_available()
