"""What the processor can do, for tests of what was proved on some processors only."""

from __future__ import annotations

from pathlib import Path

import pytest


def has(flag: str) -> bool:
    """Whether an x86 processor has a feature, as Linux names it; True where that cannot be told."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return True
    flags = next((line.split() for line in lines if line.startswith("flags")), None)
    return flags is None or flag in flags


needs_vnni = pytest.mark.skipif(
    not has("avx512_vnni"), reason="8-bit kernels of this processor sum in another order alone than in a batch"
)
