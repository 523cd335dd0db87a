"""The files that an export writes."""

from __future__ import annotations

from embedkit.bundle.manifest import is_plain_name
from embedkit_export import files


def test_a_role_of_any_name_has_a_file_of_its_own() -> None:
    roles = ["default", "query", "a/b", "a_b", "\u00e9", "../up", "A B", "x" * 300]
    names = [files.file_name(role, "int8") for role in roles]
    assert len(set(names)) == len(roles)
    assert all(is_plain_name(name) and len(name) < 100 for name in names)
