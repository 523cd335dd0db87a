"""Queries of a stand-in for OpenSearch and Elasticsearch: which documents match, and their scores. What the servers refuse is refused."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np

MOST_HITS, MOST_TERMS, MOST_CLAUSES, MOST_LEVELS = 10_000, 65_536, 1_024, 20

Document = dict[str, Any]
Matches = Callable[[Document], bool]


class Refusal(Exception):
    """An answer with an error: its status, kind and reason."""

    def __init__(self, status: int, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.status, self.kind, self.reason = status, kind, reason

    def said(self, index: str = "") -> dict[str, Any]:
        """What the answer says of it."""
        one = {"type": self.kind, "reason": self.reason} | ({"index": index} if index else {})
        return {"root_cause": [one], **one}


def bad(reason: str, kind: str = "parsing_exception") -> Refusal:
    return Refusal(400, kind, reason)


class Queries:
    """The queries over an index whose mapping has ``properties``."""

    def __init__(self, properties: dict[str, Any], flavour: str) -> None:
        self.properties, self.flavour = properties, flavour
        self.clauses = 0

    def matches(self, query: dict[str, Any], level: int = 1) -> Matches:
        """Whether a document matches, of a query none of whose parts is scored."""
        if level > MOST_LEVELS:
            raise bad(
                "The nested depth of the query exceeds the maximum nested depth for queries",
                "x_content_parse_exception",
            )
        if len(query) != 1:
            raise bad("[bool] malformed query, expected [END_OBJECT]")
        ((kind, given),) = query.items()
        if kind == "bool":
            return self._bool(given, level)
        self.clauses += 1
        if self.clauses > MOST_CLAUSES:
            raise bad(f"maxClauseCount is set to {MOST_CLAUSES}", "too_many_nested_clauses")
        if kind == "match_all":
            return lambda document: True
        if kind not in ("term", "terms", "range"):
            raise bad(f"unknown query [{kind}]")
        ((name, value),) = given.items()
        if self.properties.get(name, {}).get("type") != "keyword":
            return lambda document: False
        if kind == "range":
            return _within(name, value)
        wanted = {value} if kind == "term" else set(value)
        if len(wanted) > MOST_TERMS:
            raise bad(
                f"The number of terms [{len(wanted)}] used in the Terms Query request has exceeded the allowed maximum of [{MOST_TERMS}]"
            )
        if not all(isinstance(one, str) for one in wanted):
            raise bad("expected text")
        return lambda document: not wanted.isdisjoint(values(document, name))

    def _bool(self, given: dict[str, Any], level: int) -> Matches:
        if unknown := set(given) - {"filter", "should", "must_not", "minimum_should_match"}:
            raise bad(f"[bool] query does not support {unknown}")
        every = [self.matches(part, level + 1) for part in given.get("filter", [])]
        some = [self.matches(part, level + 1) for part in given.get("should", [])]
        none = [self.matches(part, level + 1) for part in given.get("must_not", [])]
        if none and not every and not some:
            self.clauses += 1  # all documents, from which these are taken
        least = given.get("minimum_should_match", 0 if every else 1) if some else 0

        def found(document: Document) -> bool:
            return (
                all(one(document) for one in every)
                and not any(one(document) for one in none)
                and (not least or sum(one(document) for one in some) >= least)
            )

        return found

    def scored(self, body: dict[str, Any]) -> tuple[Matches, Callable[[Document], float] | None, int | None]:
        """Of a search's body: which documents match, their scores where they have any, and how many of the nearest alone are found."""
        query = body.get("query", {"match_all": {}})
        if self.flavour == "elasticsearch" and "knn" in body:
            asked = dict(body["knn"])
            k, view = asked["k"], asked["num_candidates"]
            if not k <= view <= MOST_HITS:
                raise bad(
                    f"[num_candidates] {view} must be at least [k] {k} and at most {MOST_HITS}",
                    "illegal_argument_exception",
                )
            _only(asked, {"field", "query_vector", "k", "num_candidates", "filter"})
            matches = self.matches(asked.get("filter", {"match_all": {}}))
            return matches, self._score(asked["field"], asked["query_vector"], self._space(asked["field"])), k
        if self.flavour == "opensearch" and "knn" in query:
            ((name, asked),) = query["knn"].items()
            _only(asked, {"vector", "k", "filter"})
            if not 0 < asked["k"] <= MOST_HITS:
                raise bad(f"[knn] requires k to be in the range (0, {MOST_HITS}]", "illegal_argument_exception")
            matches = self.matches(asked.get("filter", {"match_all": {}}))
            return matches, self._score(name, asked["vector"], self._space(name)), asked["k"]
        if "script_score" in query:
            _only(query["script_score"], {"query", "script"})
            return self.matches(query["script_score"]["query"], 2), self._script(query["script_score"]["script"]), None
        return self.matches(query), None, None

    def _script(self, script: dict[str, Any]) -> Callable[[Document], float]:
        params = script["params"]
        if self.flavour == "opensearch":
            if (script["lang"], script["source"]) != ("knn", "knn_score"):
                raise bad("script_lang not supported", "illegal_argument_exception")
            return self._score(params["field"], params["query_value"], params["space_type"])
        if script["lang"] != "painless":
            raise bad("script_lang not supported", "illegal_argument_exception")
        dot = r"double dot = dotProduct\(params.asked, '(\w+)'\); return dot < 0 \? 1 / \(1 - dot\) : 1 \+ dot;"
        far = r"1 / \(1 \+ l2norm\(params.asked, '(\w+)'\)\)"
        for form, space in ((dot, "innerproduct"), (far, "l2")):
            if found := re.fullmatch(form, script["source"]):
                return self._score(found[1], params["asked"], space)
        raise bad("compile error", "script_exception")

    def _space(self, name: str) -> str:
        field = self.properties[name]
        if self.flavour == "opensearch":
            return str(field["method"]["space_type"])
        return {"l2_norm": "l2", "max_inner_product": "innerproduct"}[field["similarity"]]

    def _score(self, name: str, asked: list[float], space: str) -> Callable[[Document], float]:
        field = self.properties.get(name, {})
        dim = field.get("dimension", field.get("dims"))
        if dim is None or len(asked) != dim:
            raise bad(
                f"the query vector has a different dimension ({len(asked)}) than the index vectors ({dim})",
                "illegal_argument_exception",
            )
        one = np.array(asked, np.float32)

        def score(document: Document) -> float:
            other = np.array(document[name], np.float32)
            if space == "l2":
                return float(np.float32(1) / (1 + np.square(one - other).sum()))
            dot = np.dot(one, other)
            return float(1 + dot if dot > 0 else np.float32(1) / (1 - dot))

        return score


def values(document: Document, name: str) -> list[str]:
    """The values of a keyword field."""
    found = document.get(name, [])
    return found if isinstance(found, list) else [found]


def check_document(document: Document, properties: dict[str, Any]) -> None:
    """Refuse what a mapping does not take."""
    for name, field in properties.items():
        if name not in document:
            continue
        if field["type"] == "keyword":
            for value in values(document, name):
                if not isinstance(value, str) or len(value.encode()) > 32_766:
                    raise bad(
                        f'Document contains at least one immense term in field="{name}"', "illegal_argument_exception"
                    )
            continue
        dim, found = field.get("dimension", field.get("dims")), document[name]
        if len(found) != dim:
            raise bad(
                f"failed to parse field [{name}]: Vector dimension mismatch. Expected: {dim}, Given: {len(found)}",
                "mapper_parsing_exception",
            )
        if not np.isfinite(np.array(found, np.float32)).all():
            raise bad("KNN vector values cannot be NaN or infinity", "mapper_parsing_exception")


def check_field(name: str, field: dict[str, Any], flavour: str) -> None:
    """Refuse a field that the server has not."""
    if field["type"] == "keyword":
        return _only(field, {"type", "doc_values"}, "mapper_parsing_exception")
    if flavour == "opensearch" and field["type"] == "knn_vector":
        method = field["method"]
        good = 1 <= field["dimension"] <= 16_000 and method["name"] == "hnsw" and method["engine"] == "lucene"
        good = good and method["space_type"] in ("l2", "cosinesimil", "innerproduct")
        good = good and set(method["parameters"]) == {"m", "ef_construction"}
        if good:
            return _only(field, {"type", "dimension", "method"}, "mapper_parsing_exception")
    if flavour == "elasticsearch" and field["type"] == "dense_vector":
        good = 1 <= field["dims"] <= 4_096 and field["similarity"] in (
            "l2_norm",
            "max_inner_product",
            "cosine",
            "dot_product",
        )
        good = (
            good
            and field["index_options"]["type"] == "hnsw"
            and set(field["index_options"]) == {"type", "m", "ef_construction"}
        )
        if good:
            return _only(field, {"type", "dims", "index", "similarity", "index_options"}, "mapper_parsing_exception")
    raise bad(f"Failed to parse mapping: no handler for [{name}] of type [{field['type']}]", "mapper_parsing_exception")


def _within(name: str, bounds: dict[str, str]) -> Matches:
    _only(bounds, {"gt", "gte", "lt", "lte"})
    low, high = bounds.get("gte", bounds.get("gt", "")), bounds.get("lte", bounds.get("lt", "\U0010ffff"))
    above, below = "gt" in bounds, "lt" in bounds

    def found(document: Document) -> bool:
        for value in values(document, name):  # the order of code points is that of UTF-8
            if (low < value or (low == value and not above)) and (value < high or (value == high and not below)):
                return True
        return False

    return found


def _only(given: dict[str, Any], known: set[str], kind: str = "parsing_exception") -> None:
    if unknown := set(given) - known:
        raise bad(f"unknown key {sorted(unknown)}", kind)
