"""Whether a process is there."""

from __future__ import annotations

import os


def is_alive(pid: str) -> bool:
    """Whether a process has this number, as text; False for what is no number."""
    try:
        os.kill(int(pid), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        return True
    return True
