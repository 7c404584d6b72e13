"""Apache Kafka's jars: named and digested by the lock file beside this module, kept in the user's cache folder.

The lock file ``kafka.lock`` has one line for each jar, ``<sha256>  <group>:<artifact>:<version>``. ``relock`` makes it.
"""

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from manyheads.topics.errors import ArtifactError, ErrorCode

LOCK_FILE = "kafka.lock"
_DOWNLOADS = 8
_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class LockedJar:
    """One jar of the lock file."""

    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def coordinate(self) -> str:
        return f"{self.group}:{self.artifact}:{self.version}"

    @property
    def file_name(self) -> str:
        return f"{self.artifact}-{self.version}.jar"

    @property
    def repository_path(self) -> Path:
        """Where a Maven repository keeps it."""
        return Path(*self.group.split("."), self.artifact, self.version, self.file_name)


def locked_jars() -> tuple[LockedJar, ...]:
    """The jars of the lock file."""
    return parse_lock(resources.files(__package__).joinpath(LOCK_FILE).read_text("utf-8"))


def parse_lock(text: str) -> tuple[LockedJar, ...]:
    """The jars that a lock file names; lines that begin with ``#`` say something to people."""
    jars = []
    for line in text.splitlines():
        if line and not line.startswith("#"):
            sha256, coordinate = line.split()
            group, artifact, version = coordinate.split(":")
            jars.append(LockedJar(group, artifact, version, sha256))
    return tuple(jars)


def jar_folder() -> Path:
    """Where the verified jars are kept: ``manyheads/kafka-jars`` in the user's cache folder (XDG_CACHE_HOME)."""
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "manyheads" / "kafka-jars"


def class_path(jars: Sequence[LockedJar] | None = None, folder: Path | None = None) -> str:
    """Java's class path of all locked jars, every one verified against its digest just now.

    A jar that is not in ``folder`` yet is linked from the machine's Maven repository, or else downloaded by jgo. That
    may happen in several processes at once: one fetches, the others wait for it.

    Args:
        jars: what to find; the lock file's jars by default.
        folder: where to keep them; :func:`jar_folder` by default.

    Raises:
        ArtifactError: artifact_corrupt if a jar's digest differs from the lock file's; artifact_missing if a jar is
            neither here nor can be downloaded.
    """
    jars = locked_jars() if jars is None else jars
    folder = jar_folder() if folder is None else folder
    missing = [jar for jar in jars if not (folder / jar.file_name).exists()]
    if missing:
        folder.mkdir(parents=True, exist_ok=True)
        with _exclusive(folder / ".lock"):
            _fetch([jar for jar in missing if not (folder / jar.file_name).exists()], folder)
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # hashing runs outside the GIL: 45 MB in some 30 ms
        for _ in pool.map(lambda jar: _verify(jar, folder / jar.file_name), jars):
            pass
    return os.pathsep.join(str(folder / jar.file_name) for jar in jars)


def _verify(jar: LockedJar, path: Path) -> None:
    found = _sha256(path)
    if found != jar.sha256:
        raise ArtifactError(
            ErrorCode.ARTIFACT_CORRUPT,
            f"{path} is not the {jar.coordinate} of {LOCK_FILE}: its sha256 is {found}, not {jar.sha256}. Delete the"
            " file and start again; if it happens again, the place that it is downloaded from serves another file",
            jar=jar.coordinate,
            found=found,
            expected=jar.sha256,
        )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _exclusive(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # released when the file closes, so also when the process dies
        yield


def _fetch(jars: Sequence[LockedJar], folder: Path) -> None:
    # Jars arrive in a folder of this process and are moved in one by one once verified: an interrupted download
    # leaves nothing half-done behind, and what was complete need not be fetched again.
    with (
        tempfile.TemporaryDirectory(prefix=".fetching-", dir=folder) as staging,
        ThreadPoolExecutor(_DOWNLOADS) as pool,
    ):
        try:
            for _ in pool.map(lambda jar: _fetch_one(jar, Path(staging), folder), jars):
                pass
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _fetch_one(jar: LockedJar, staging: Path, folder: Path) -> None:
    source = _local_repository() / jar.repository_path
    if source.exists() and _sha256(source) == jar.sha256:
        arrived = staging / jar.file_name
        _link(source, arrived)
    else:
        arrived = _download(jar, staging)
        _verify(jar, arrived)
    arrived.replace(folder / jar.file_name)


def _local_repository() -> Path:
    repository = os.environ.get("M2_REPO")
    return Path(repository) if repository else Path.home() / ".m2" / "repository"


def _link(source: Path, target: Path) -> None:
    # A hard link costs no disk and survives the deletion of the other name; across file systems it has to be a copy.
    try:
        target.hardlink_to(source)
    except OSError:
        shutil.copyfile(source, target)


def _download(jar: LockedJar, staging: Path) -> Path:
    try:
        # Here, not above: only a cold cache needs jgo, which takes half a second to import.
        from jgo.config import GlobalSettings  # noqa: PLC0415
        from jgo.constants import MAVEN_CENTRAL_URL  # noqa: PLC0415
        from jgo.maven import MavenContext  # noqa: PLC0415
    except ImportError as error:
        raise ArtifactError(
            ErrorCode.ARTIFACT_MISSING,
            "The embedded broker needs jgo to download Apache Kafka: pip install 'manyheads[broker]'",
        ) from error
    repositories = GlobalSettings.load().repositories or {"central": MAVEN_CENTRAL_URL}
    failure: Exception | None = None
    for attempt in range(_ATTEMPTS):
        # jgo takes any file that is there for a whole one, so each attempt has a repository of its own.
        context = MavenContext(repo_cache=staging / f"attempt-{attempt}", local_repos=[], remote_repos=repositories)
        artifact = context.project(jar.group, jar.artifact).at_version(jar.version).artifact()
        try:
            return Path(artifact.resolve())
        except (OSError, RuntimeError) as error:  # requests' errors are OSErrors; jgo's own are RuntimeErrors
            failure = error
    raise ArtifactError(
        ErrorCode.ARTIFACT_MISSING,
        f"{jar.coordinate} cannot be downloaded ({failure}). Check the network and HTTPS_PROXY, name a mirror in jgo's"
        f" configuration, or put the jar into {jar_folder()}",
        jar=jar.coordinate,
    ) from failure
