"""The options of ``embedkit search`` that rank by more than vectors: by words, and by a reranker."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .click_ext import OptionalValue, grouped, option_field

if TYPE_CHECKING:
    from embedkit.encoders.base import BaseEncoder
    from embedkit.records.documents import Hit
    from embedkit.retrieval.rerank import RerankerLike
    from embedkit.stores.guarded import GuardedStore

    from .options import Loading


@dataclass(frozen=True)
class RankingOptions:
    """What ranks beside the vectors."""

    hybrid: str | None = option_field(
        None,
        cls=OptionalValue,
        alone="minmax",
        type=click.Choice(["minmax", "dbsf", "rrf"]),
        help="Rank by words (BM25) too, and by all kinds of vectors that the collection keeps, and fuse the rankings: by scores "
        "between their extremes or around their mean, or by ranks; minmax if nothing is said.",
    )
    lexical: str | None = option_field(
        None,
        metavar="FOLDER",
        help="Where --hybrid keeps the words of the collection; by default in the user's cache folder (or EMBEDKIT_CACHE). They "
        "are read from the store the first time, and again when the collection is seen to have changed.",
    )
    reindex: bool = option_field(False, is_flag=True, help="Read the words of the collection again now.")
    language: str | None = option_field(
        None, metavar="NAME", help="With --hybrid: words are equal whose stems in this language are, such as english."
    )
    weight: tuple[str, ...] = option_field(
        (),
        multiple=True,
        metavar="NAME=NUMBER",
        help="With --hybrid: how much dense, sparse, multivector or lexical counts, as lexical=0.5; 1 unless given, 0 leaves it out.",
    )
    rerank: str | None = option_field(
        None, metavar="BUNDLE", help="Order the best hits by a cross-encoder, which reads them with the query."
    )
    rerank_top: int | None = option_field(
        None, type=click.IntRange(min=1), help="How many hits --rerank reads; by default 50, or as many as are wanted."
    )

    def check(self) -> None:
        """Refuse options without the one that they belong to, before anything is loaded."""
        if not self.hybrid and (self.lexical or self.language or self.weight or self.reindex):
            raise click.BadParameter("give --hybrid with --lexical, --language, --weight and --reindex")
        if not self.rerank and self.rerank_top:
            raise click.BadParameter("give --rerank with --rerank-top")
        self._weights()

    def search(
        self,
        queries: Sequence[str],
        encoder: BaseEncoder,
        store: str,
        collection: str,
        loading: Loading,
        wanted: dict[str, Any],
    ) -> list[list[Hit]]:
        """The hits of each query. Where the search finds that the collection has changed since its words were read,
        they are read again."""
        from embedkit.errors import StaleIndexError
        from embedkit.retrieval.searching import search
        from embedkit.stores.opening import open_store

        reranker = self._reranker(loading)
        with open_store(store, make=False) as connection:

            def run(*, rebuild: bool) -> list[list[Hit]]:
                more: dict[str, Any] = {"rerank": reranker, "rerank_top": self.rerank_top}
                if self.hybrid:
                    weights = self._weights()
                    more |= {"hybrid": self.hybrid, "weights": weights}
                    if weights.get("lexical") == 0:
                        del weights["lexical"]
                    else:
                        more["lexical"] = self._index(connection, collection, rebuild=rebuild)
                return search(queries, encoder, connection, collection=collection, **wanted, **more)

            try:
                return run(rebuild=self.reindex)
            except StaleIndexError:
                print("the collection has changed since its words were read; reading them again", file=sys.stderr)
                return run(rebuild=True)

    def _index(self, store: GuardedStore, collection: str, *, rebuild: bool) -> Any:
        from embedkit.retrieval.lexical_cache import default_folder, kept

        folder = Path(self.lexical) if self.lexical else default_folder(store, collection)
        rows = store.open(collection)
        return kept(rows, folder, language=self.language, rebuild=rebuild, progress=None)

    def _reranker(self, loading: Loading) -> RerankerLike | None:
        return loading.reranker(self.rerank) if self.rerank else None

    def _weights(self) -> dict[str, float]:
        pairs = [given.partition("=") for given in self.weight]
        try:
            return {name: float(number) for name, _, number in pairs}
        except ValueError:
            raise click.BadParameter(
                f"expected NAME=NUMBER, as lexical=0.5, found {' '.join(self.weight)!r}", param_hint="--weight"
            ) from None


ranking_options = grouped("ranking", RankingOptions)
