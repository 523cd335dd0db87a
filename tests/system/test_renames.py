"""Old keywords go on working, and say how they are called now."""

from __future__ import annotations

import inspect
import warnings

import pytest

import embedkit
from embedkit import ingestion
from embedkit.stores.guarded import GuardedStore
from embedkit.system.renames import renamed


@renamed(within="filter", question="query")
def find(query: str, *, filter: int | None = None, k: int = 3) -> tuple[object, ...]:
    """What it finds."""
    return query, filter, k


def test_an_old_keyword_means_the_new_one_and_warns_its_caller():
    with pytest.warns(DeprecationWarning, match=r"^find: within= is called filter= now$") as caught:
        assert find("a", within=2) == ("a", 2, 3)
    assert [warning.filename for warning in caught] == [__file__]
    with pytest.warns(DeprecationWarning, match="question= is called query= now"):
        assert find(question="a", k=1) == ("a", None, 1)


def test_new_keywords_and_places_say_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert find("a", filter=2) == ("a", 2, 3)
        assert find(query="a") == ("a", None, 3)


def test_a_value_given_twice_is_an_error():
    with pytest.raises(TypeError, match="'filter' twice, once by its old name 'within'"):
        find("a", filter=1, within=None)
    with (
        pytest.warns(DeprecationWarning, match="question="),
        pytest.raises(TypeError, match="multiple values for argument 'query'"),
    ):
        find("a", question="b")


def test_what_was_renamed_and_what_it_is_can_be_seen():
    assert find.__renamed__ == {"within": "filter", "question": "query"}
    assert list(inspect.signature(find).parameters) == ["query", "filter", "k"]
    assert find.__doc__ == "What it finds."


def renamed_of_embedkit() -> dict[str, tuple[object, dict[str, str]]]:
    """Each public function and method whose keywords had other names."""
    found = {}
    for name in sorted({*embedkit.__all__} | {"GuardedStore"} | {*ingestion.__all__}):
        one = GuardedStore if name == "GuardedStore" else getattr(embedkit, name, None) or getattr(ingestion, name)
        for called, function in [(name, one), *((f"{name}.{inner}", value) for inner, value in vars(one).items())]:
            if called != f"{name}.__wrapped__" and isinstance(getattr(function, "__renamed__", None), dict):
                found[called] = function, function.__renamed__
    return found


def test_the_old_keywords_of_embedkit_are_names_of_parameters_no_more():
    found = renamed_of_embedkit()
    policy, filter = {"metadata": "metadata_policy"}, {"within": "filter"}
    assert {name: names for name, (_, names) in found.items()} == {
        "search": {"question": "query"},
        "asearch": {"question": "query"},
        "LexicalIndex.search": {"questions": "queries"},
        "ingest": policy | filter,
        "aingest": policy | filter,
        "check": policy | filter,
        "estimate": policy | filter,
        "retry": policy,
        "copy": filter,
        "chunked.__init__": policy,
        "GuardedStore.ensure": policy,
        "GuardedStore.open": policy,
    }
    for function, names in found.values():
        parameters = inspect.signature(function).parameters
        assert {*names.values()} <= parameters.keys()
        assert not names.keys() & parameters.keys()


def test_a_constructor_is_named_by_its_class():
    class Rows:
        @renamed(metadata="metadata_policy")
        def __init__(self, *, metadata_policy: str = "strict") -> None:
            self.metadata_policy = metadata_policy

    with pytest.warns(DeprecationWarning, match=r"Rows: metadata= is called metadata_policy= now"):
        assert Rows(metadata="json").metadata_policy == "json"
