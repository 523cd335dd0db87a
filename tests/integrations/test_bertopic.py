"""Topics by a bundle's vectors."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("bertopic")

from bertopic import BERTopic
from bertopic.cluster import BaseCluster
from bertopic.dimensionality import BaseDimensionalityReduction

from embedkit.integrations.bertopic import EmbedkitBackend


class _Halves(BaseCluster):
    """Two clusters, by the sign of a number: quick, and enough to see whose vectors they are."""

    def fit(self, vectors, y=None):
        self.labels_ = (np.asarray(vectors)[:, 0] > np.median(np.asarray(vectors)[:, 0])).astype(int)
        return self

    def predict(self, vectors):
        return np.zeros(len(vectors), int)


def test_topics_are_by_the_bundle(bundle, encoder):
    texts = [f"tea number {i}" for i in range(20)] + [f"boats and rain {i}" for i in range(20)]
    model = BERTopic(
        embedding_model=EmbedkitBackend(encoder),
        umap_model=BaseDimensionalityReduction(),
        hdbscan_model=_Halves(),
        min_topic_size=2,
    )
    topics, _ = model.fit_transform(texts)
    assert model.embedding_model.encoder is encoder
    first = encoder.encode(texts)[:, 0]
    groups = {tuple(np.flatnonzero(np.array(topics) == topic)) for topic in set(topics)}
    assert groups == {tuple(np.flatnonzero(part)) for part in (first > np.median(first), first <= np.median(first))}
    assert (EmbedkitBackend(bundle, variant="fp32").embed_words(["a"]) == encoder.encode(["a"])).all()
