"""The facts of a machine that a measurement belongs to."""

from __future__ import annotations

import platform
import resource
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from embedkit.system.processes import cpu_count

PACKAGES = (
    "embedkit-onnx",
    "onnxruntime",
    "openvino",
    "fastembed",
    "sentence-transformers",
    "torch",
    "tokenizers",
    "numpy",
)


def facts() -> dict[str, Any]:
    """Processor, CPUs, memory, system and the versions of what is measured; None for what is not there."""
    cpu = _entries(Path("/proc/cpuinfo"))
    memory = _entries(Path("/proc/meminfo"))
    flags = set(cpu.get("flags", "").split())
    return {
        "processor": cpu.get("model name") or platform.processor() or platform.machine(),
        "instructions": sorted(flags & {"avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8"}),
        "cpus": cpu_count(),
        "memory_gb": round(int(memory["MemTotal"].split()[0]) / 2**20, 1) if "MemTotal" in memory else None,
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
    }


def in_words(found: dict[str, Any]) -> str:
    """One line for a table's heading."""
    packages = ", ".join(f"{name} {number}" for name, number in found["packages"].items() if number)
    return f"{found['processor']} ({', '.join(found['instructions'])}), {found['cpus']} CPUs; {packages}"


def peak_megabytes() -> float:
    """Most resident memory since the program was started (``ru_maxrss`` would count the parent's as well)."""
    status = _entries(Path("/proc/self/status"))
    if "VmHWM" in status:
        return int(status["VmHWM"].split()[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def resident_megabytes() -> float:
    """Resident memory now; not a number where the system does not tell."""
    status = _entries(Path("/proc/self/status"))
    return int(status["VmRSS"].split()[0]) / 1024 if "VmRSS" in status else float("nan")


def _entries(file: Path) -> dict[str, str]:
    """``name: value`` lines; of a repeated name the first."""
    out: dict[str, str] = {}
    if file.exists():
        for line in file.read_text().splitlines():
            name, colon, value = line.partition(":")
            if colon:
                out.setdefault(name.strip(), value.strip())
    return out


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
