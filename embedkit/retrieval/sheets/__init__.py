"""Contact sheets: the pictures of hits, since people look at pictures and not at their names."""

from __future__ import annotations

from .cells import Sheet
from .writing import check_sheet, write_sheet

__all__ = ["Sheet", "check_sheet", "write_sheet"]
