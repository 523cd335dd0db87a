"""What is known of one request while it is answered, for the log, the metrics and the spans."""

from __future__ import annotations

import re
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from starlette.types import Scope

from embedkit.runtime.outputs import Answer

_ID = re.compile(r"[\w.:-]{1,128}\Z", re.ASCII)


@dataclass(slots=True)
class Call:
    """A request: its ``id`` (the client's own, or one that is made), its ``route``, when it came and what it cost so far, in seconds,
    texts and tokens; ``code`` is the status that was answered, 499 where nobody waited for one."""

    id: str
    route: str = ""
    model: str = ""
    role: str = ""
    started: float = field(default_factory=time.perf_counter)
    texts: int = 0
    tokens: int = 0
    truncated: int = 0
    waited: float = 0.0
    computed: float = 0.0
    code: int = 0
    stage: str = ""
    error: str = ""
    reason: str = ""

    @classmethod
    def of(cls, scope: Scope) -> Call:
        """That of a request, made with the first who asks for it."""
        state: dict[str, Any] = scope.setdefault("embedkit", {})
        if "call" not in state:
            given = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"x-request-id"), "")
            state["call"] = cls(given if _ID.match(given) else uuid.uuid4().hex)
        made: Call = state["call"]
        return made

    @property
    def seconds(self) -> float:
        """Since it came."""
        return time.perf_counter() - self.started

    def count(self, answer: Answer) -> None:
        """Add what an answer cost."""
        self.texts += len(answer.tokens)
        self.tokens += int(answer.tokens.sum())
        self.truncated += int(np.count_nonzero(answer.truncated))
        self.waited, self.computed = max(self.waited, answer.waited), max(self.computed, answer.computed)
