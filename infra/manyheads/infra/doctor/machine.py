"""This machine: Python, libraries, disk, files, memory. Workers may run on others; their reports tell of those."""

import platform
import resource
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from manyheads.infra.doctor.findings import Area, Finding

MACHINE = Area("machine")
_PACKAGES = ("manyheads", "confluent-kafka", "kafka-python", "onnxruntime")
_CONTROL_GROUP = Path("/sys/fs/cgroup")
_GB = 1e9
DISK_WARN_BYTES = 2 * _GB
DISK_FAIL_BYTES = 0.2 * _GB
FILES_WARN = 1_024
"""each broker takes a few connections of each client, and a worker has a dozen clients"""
MEMORY_WARN_BYTES = 0.5 * _GB


@dataclass(frozen=True, slots=True)
class Disk:
    """A folder that models are written to."""

    folder: str
    free_bytes: int
    total_bytes: int


@dataclass(frozen=True, slots=True)
class Machine:
    """What this process may use."""

    python: str
    packages: tuple[tuple[str, str], ...]
    """those that are installed, with their versions"""
    disks: tuple[Disk, ...]
    open_files: int | None
    """the limit; None for none"""
    memory_bytes: int | None
    """available; None where the system does not tell"""


def measure_machine(folders: Sequence[Path]) -> Machine:
    """What this process may use; ``folders`` may not exist yet."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return Machine(
        python=platform.python_version(),
        packages=tuple((name, found) for name in _PACKAGES if (found := _version(name)) is not None),
        disks=tuple(_disk(folder) for folder in folders),
        open_files=None if limit == resource.RLIM_INFINITY else limit,
        memory_bytes=_available_memory(),
    )


def judge_machine(machine: Machine) -> Iterator[Finding]:
    """A line each."""
    packages = ", ".join(f"{name} {found}" for name, found in machine.packages)
    yield MACHINE.ok("python", f"Python {machine.python}; {packages}")
    for disk in machine.disks:
        seen = f"{disk.free_bytes / _GB:,.1f} of {disk.total_bytes / _GB:,.1f} GB free for {disk.folder}"
        advice = "models are written there: make room, or set another MANYHEADS_STORE_URL or MANYHEADS_STORE_CACHE_DIR"
        if disk.free_bytes < DISK_FAIL_BYTES:
            yield MACHINE.fail("disk", seen, advice)
        elif disk.free_bytes < DISK_WARN_BYTES:
            yield MACHINE.warn("disk", seen, advice)
        else:
            yield MACHINE.ok("disk", seen)
    if machine.open_files is not None and machine.open_files < FILES_WARN:
        advice = f"clients of many brokers need more: ulimit -n {4 * FILES_WARN}"
        yield MACHINE.warn("open files", f"at most {machine.open_files:,}", advice)
    else:
        limit = "no limit" if machine.open_files is None else f"at most {machine.open_files:,}"
        yield MACHINE.ok("open files", limit)
    if machine.memory_bytes is None:
        yield MACHINE.unknown("memory", "this system does not tell how much is available")
    elif machine.memory_bytes < MEMORY_WARN_BYTES:
        seen = f"{machine.memory_bytes / _GB:.1f} GB available"
        yield MACHINE.warn("memory", seen, "an encoder needs about 0.3 GB, a cell up to 10 GB: stop something")
    else:
        yield MACHINE.ok("memory", f"{machine.memory_bytes / _GB:,.1f} GB available")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _disk(folder: Path) -> Disk:
    folder = folder.absolute()
    there = next(each for each in (folder, *folder.parents) if each.exists())
    usage = shutil.disk_usage(there)
    return Disk(str(folder), usage.free, usage.total)


def _available_memory() -> int | None:
    free = [_of_machine(), _of_container()]
    return min((each for each in free if each is not None), default=None)


def _of_machine() -> int | None:
    for line in _text(Path("/proc/meminfo")).splitlines():
        name, _, value = line.partition(":")
        if name == "MemAvailable":
            return int(value.split()[0]) * 1024
    return None


def _of_container() -> int | None:
    limit, used = _text(_CONTROL_GROUP / "memory.max").strip(), _text(_CONTROL_GROUP / "memory.current").strip()
    return int(limit) - int(used) if limit.isdecimal() and used.isdecimal() else None


def _text(file: Path) -> str:
    """What the file holds; nothing where the system has no such file."""
    try:
        return file.read_text("ascii")
    except OSError:
        return ""
