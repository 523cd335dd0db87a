"""What every task is: data that an encoder's vectors are measured on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from embedkit.encoders.base import BaseEncoder

Rows: TypeAlias = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Measured:
    """What an encoder reached on a task. ``statistic`` gives the measures of any resample of the task's ``units``, named
    by their rows (which repeat); ``fixed`` are measures that have no meaning on a resample."""

    units: int
    statistic: Callable[[Rows], Mapping[str, float]]
    fixed: Mapping[str, float] = field(default_factory=dict)


class Task(ABC):
    """Data to measure on. ``name`` says what kind; ``source`` where it is from; ``units`` what is drawn for an interval,
    such as queries; ``size`` how much there is of what; ``notes`` what was left out."""

    name: str
    source: str
    units: str
    notes: tuple[str, ...] = ()

    if TYPE_CHECKING:  # at run time nothing, so that a task may set it as a field, too

        @property
        def size(self) -> Mapping[str, int]:
            """How much there is of what, such as pairs."""

    @abstractmethod
    def measure(self, encoder: BaseEncoder, *, progress: bool = False) -> Measured:
        """Encode the texts and measure the vectors."""
