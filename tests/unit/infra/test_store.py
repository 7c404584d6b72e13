"""The model store: nothing leaves it unchecked."""

import hashlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar
from uuid import uuid4

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from manyheads.infra.settings import load_settings
from manyheads.infra.store import ModelStore, StoreSettings
from manyheads.topics.errors import ArtifactError, ErrorCode, InvalidRequest, InvalidSettings
from manyheads.topics.registry import ArtifactRef

CONTENT = b"weights " * 200_000
DIGEST = hashlib.sha256(CONTENT).hexdigest()

MakeStore = Callable[[], ModelStore]


@pytest.fixture(params=["in place", "folder with a cache", "memory"])
def make_store(request: pytest.FixtureRequest, tmp_path: Path) -> MakeStore:
    """Makes stores over the same files, as several processes would."""
    memory = f"memory://{uuid4().hex}"
    return {
        "in place": lambda: ModelStore(str(tmp_path / "store")),
        "folder with a cache": lambda: ModelStore(f"file://{tmp_path}/store", tmp_path / "cache"),
        "memory": lambda: ModelStore(memory, tmp_path / "cache"),
    }[request.param]


def damage(store: ModelStore, ref: ArtifactRef, content: bytes) -> None:
    """Overwrite what the store itself has."""
    with fsspec.open(f"{store.url}/sha256/{ref.sha256[:2]}/{ref.sha256}", "wb") as file:
        file.write(content)


def test_what_was_put_is_fetched(make_store: MakeStore) -> None:
    store = make_store()
    ref = store.put("model.onnx", CONTENT)
    assert ref == ArtifactRef(name="model.onnx", sha256=DIGEST, bytes=len(CONTENT))
    path = store.fetch(ref)
    assert path.read_bytes() == CONTENT
    assert store.fetch(ref) == path
    assert make_store().fetch(ref) == path


def test_a_file_is_stored_as_its_bytes_are(make_store: MakeStore, tmp_path: Path) -> None:
    file = tmp_path / "some.bin"
    file.write_bytes(CONTENT)
    assert make_store().put("model.onnx", file) == make_store().put("model.onnx", CONTENT)


class _Unreachable(MemoryFileSystem):  # type: ignore[misc] # fsspec is untyped
    """Raises what is no OSError, as the clients of some object stores do."""

    protocol = "unreachable"

    def _open(self, *arguments: Any, **options: Any) -> Any:
        raise RuntimeError("no route to the store")


def test_whatever_a_file_system_raises_is_told_as_missing(tmp_path: Path) -> None:
    fsspec.register_implementation("unreachable", _Unreachable, clobber=True)
    store = ModelStore("unreachable://models", tmp_path / "cache")
    with pytest.raises(ArtifactError, match="no route to the store") as caught:
        store.fetch(ArtifactRef(name="model.onnx", sha256=DIGEST, bytes=1))
    assert caught.value.code is ErrorCode.ARTIFACT_MISSING


def test_an_empty_file_is_a_file(make_store: MakeStore) -> None:
    assert make_store().fetch(make_store().put("empty", b"")).read_bytes() == b""


def test_a_missing_file_says_where_it_should_be(make_store: MakeStore) -> None:
    store = make_store()
    with pytest.raises(ArtifactError) as caught:
        store.fetch(ArtifactRef(name="model.onnx", sha256=DIGEST, bytes=1))
    assert caught.value.code is ErrorCode.ARTIFACT_MISSING
    assert (
        f"model.onnx at {store.url}/sha256/{DIGEST[:2]}/{DIGEST} is not there; store it again" in caught.value.message
    )


@pytest.mark.parametrize(
    "found", [CONTENT[:-1], CONTENT + b"!", b"!" + CONTENT[1:], b""], ids=["cut", "long", "other", "empty"]
)
def test_a_damaged_store_hands_out_nothing(make_store: MakeStore, tmp_path: Path, found: bytes) -> None:
    store = make_store()
    ref = store.put("model.onnx", CONTENT)
    damage(store, ref, found)
    with pytest.raises(ArtifactError, match="is damaged") as caught:
        make_store().fetch(ref)
    assert caught.value.code is ErrorCode.ARTIFACT_CORRUPT
    assert caught.value.details["expected_sha256"] == DIGEST
    assert caught.value.details["found_sha256"] == hashlib.sha256(found).hexdigest()
    assert caught.value.details["found_bytes"] == len(found)
    assert [path for path in (tmp_path / "cache").rglob("*") if path.is_file()] == []


def test_storing_again_heals_a_damaged_store(make_store: MakeStore) -> None:
    store = make_store()
    ref = store.put("model.onnx", CONTENT)
    damage(store, ref, b"!" + CONTENT[1:])
    make_store().put("model.onnx", CONTENT)
    assert make_store().fetch(ref).read_bytes() == CONTENT


def test_a_file_that_is_damaged_after_it_was_verified_is_noticed(tmp_path: Path) -> None:
    store = ModelStore(str(tmp_path))
    path = store.fetch(ref := store.put("model.onnx", CONTENT))
    verified = path.stat()
    path.write_bytes(b"!" + CONTENT[1:])
    # The clock's step may be coarser than this test is long.
    os.utime(path, ns=(verified.st_atime_ns, verified.st_mtime_ns + 1))
    with pytest.raises(ArtifactError, match="is damaged"):
        store.fetch(ref)


@pytest.mark.parametrize("found", [b"", b"!" + CONTENT[1:]], ids=["cut", "other"])
def test_a_damaged_copy_is_fetched_again(tmp_path: Path, found: bytes) -> None:
    url = f"memory://{uuid4().hex}"
    ref = ModelStore(url).put("model.onnx", CONTENT)
    path = ModelStore(url, tmp_path).fetch(ref)
    path.write_bytes(found)
    assert ModelStore(url, tmp_path).fetch(ref) == path
    assert path.read_bytes() == CONTENT


def test_a_copy_is_used_when_the_store_is_gone(tmp_path: Path) -> None:
    url = f"memory://{uuid4().hex}"
    ref = ModelStore(url).put("model.onnx", CONTENT)
    ModelStore(url, tmp_path).fetch(ref)
    fsspec.filesystem("memory").rm(url, recursive=True)
    assert ModelStore(url, tmp_path).fetch(ref).read_bytes() == CONTENT


def test_a_claim_bounds_what_is_read(tmp_path: Path) -> None:
    """A store that answers without end must not fill the disk."""
    url = f"memory://{uuid4().hex}"
    store = ModelStore(url, tmp_path)
    claimed = ArtifactRef(name="model.onnx", sha256=store.put("model.onnx", CONTENT).sha256, bytes=10)
    with pytest.raises(ArtifactError) as caught:
        store.fetch(claimed)
    assert caught.value.details["found_bytes"] == 11


def fetched_by_threads(stores: list[ModelStore], ref: ArtifactRef) -> Path:
    with ThreadPoolExecutor(8) as pool:
        paths = set(pool.map(lambda n: stores[n % len(stores)].fetch(ref), range(32)))
    assert len(paths) == 1
    path: Path = paths.pop()
    return path


def test_many_threads_fetch_one_file(make_store: MakeStore) -> None:
    store = make_store()
    path = fetched_by_threads([store], ref := store.put("model.onnx", CONTENT))
    assert path.read_bytes() == CONTENT
    assert [file.name for file in path.parent.iterdir()] == [ref.sha256]


def test_several_stores_share_a_cache(tmp_path: Path) -> None:
    stores = [ModelStore(f"file://{tmp_path}/store", tmp_path / "cache") for _ in range(3)]
    path = fetched_by_threads(stores, ref := stores[0].put("model.onnx", CONTENT))
    assert path.read_bytes() == CONTENT
    assert [file.name for file in path.parent.iterdir()] == [ref.sha256]


def test_nothing_is_left_of_a_file_that_cannot_be_stored(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError) as caught:
        ModelStore(str(tmp_path / "store")).put("model.onnx", tmp_path / "nowhere")
    assert caught.value.code is ErrorCode.ARTIFACT_MISSING
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("name", ["", "../model.onnx", "a/b", "model.onnx\n", "-x", "x" * 101])
def test_a_name_is_a_file_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        ModelStore(str(tmp_path)).put(name, b"")
    assert caught.value.code is ErrorCode.INVALID_NAME


@pytest.mark.parametrize("sha256", ["../" * 10 + "0" * 64, "0" * 64 + "\n", "0" * 63, "G" * 64])
def test_a_digest_is_no_path(sha256: str) -> None:
    with pytest.raises(ValueError, match="sha256"):
        ArtifactRef(name="a", sha256=sha256, bytes=1)


def test_a_url_that_nothing_opens_is_a_wrong_setting() -> None:
    with pytest.raises(InvalidSettings, match="gopher"):
        ModelStore("gopher://models")


def test_a_url_shows_no_password(tmp_path: Path) -> None:
    store = ModelStore("memory://user:hunter2@bucket/models", tmp_path)
    with pytest.raises(ArtifactError) as caught:
        store.fetch(ArtifactRef(name="a", sha256="0" * 64, bytes=1))
    assert "hunter2" not in f"{store!r} {store.url} {caught.value} {caught.value.details}"
    assert "bucket/models" in repr(store)


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MANYHEADS_STORE_URL", "s3://models")
    monkeypatch.setenv("MANYHEADS_STORE_CACHE_DIR", str(tmp_path))
    settings = load_settings(StoreSettings)
    assert (settings.store_url, settings.store_cache_dir) == ("s3://models", tmp_path)


def test_a_removed_file_is_gone_and_others_stay(make_store: MakeStore) -> None:
    store = make_store()
    kept, removed = store.put("a.onnx", b"kept"), store.put("b.onnx", b"removed")
    path = store.fetch(removed)
    assert store.remove(removed)
    assert not store.remove(removed), "there is nothing to remove any more"
    assert not path.exists()
    with pytest.raises(ArtifactError) as caught:
        make_store().fetch(removed)
    assert caught.value.code is ErrorCode.ARTIFACT_MISSING
    assert store.fetch(kept).read_bytes() == b"kept"


class ObjectStore(MemoryFileSystem):  # type: ignore[misc]  # fsspec has no types
    """As S3 does it."""

    protocol = "objects"
    store: ClassVar[dict[str, Any]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]

    def rm_file(self, path: str) -> None:
        if self.exists(path):
            super().rm_file(path)


def test_a_store_that_deletes_what_is_not_there_without_a_word(tmp_path: Path) -> None:
    fsspec.register_implementation(ObjectStore.protocol, ObjectStore, clobber=True)
    store = ModelStore(f"{ObjectStore.protocol}://{uuid4().hex}", tmp_path)
    ref = store.put("a.onnx", b"removed")
    assert store.remove(ref)
    assert not store.remove(ref)
