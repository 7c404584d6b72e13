"""How every benchmark reports: on which processor, against which goal."""

import os
from dataclasses import dataclass
from pathlib import Path


def processor() -> str:
    """The processor's name and the instructions that int8 products use, such as ``Intel Xeon (AMX)``."""
    name, flags = "unknown processor", ""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                name = " ".join(value.split())
            elif key.strip() == "flags":
                flags = value
                break
    except OSError:
        return name
    for flag, label in (
        ("amx_int8", "AMX"),
        ("avx512_vnni", "AVX512-VNNI"),
        ("avx_vnni", "AVX-VNNI"),
        ("avx2", "AVX2"),
    ):
        if flag in flags.split():
            return f"{name} ({label})"
    return name


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


@dataclass(frozen=True, slots=True)
class Verdict:
    """One figure against its goal."""

    benchmark: str
    passed: bool
    figure: str
    goal: str

    def line(self) -> str:
        """The last line of a benchmark."""
        verdict = "PASS" if self.passed else "SHORT"
        return f"{self.benchmark.upper()} {verdict} {self.figure} (goal {self.goal}) on {processor()}, {cores()} cores"
