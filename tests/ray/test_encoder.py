"""A column of vectors in a data set of Ray."""

from __future__ import annotations

import numpy as np
import pytest

from embedkit.encoders.encoder import Encoder
from embedkit.errors import InputError

pytestmark = pytest.mark.ray

TEXTS = [f"text {i}" for i in range(40)]


@pytest.mark.parametrize("batch_format", ["numpy", "pandas", "pyarrow"])
def test_each_format_gets_the_same_vectors(batch_format, bundle):
    import pandas as pd
    import pyarrow as arrow

    from embedkit.ray import BundleEncoder

    made = {"numpy": lambda x: {k: np.array(v) for k, v in x.items()}, "pandas": pd.DataFrame, "pyarrow": arrow.table}
    encode = BundleEncoder(bundle, text="body", vector="v", variant="fp32")
    found = encode(made[batch_format]({"body": TEXTS, "n": list(range(40))}))
    column = found["v"].to_pylist() if batch_format == "pyarrow" else list(found["v"])
    alone = Encoder.load(bundle, variant="fp32").encode_document(TEXTS)
    assert np.array(column, np.float32).tobytes() == alone.tobytes()
    with pytest.raises(InputError, match="expected a column 'body'"):
        encode(made[batch_format]({"text": TEXTS}))


def test_workers_give_the_vectors_of_one_process(cluster, bundle):
    import ray.data

    from embedkit.ray import BundleEncoder

    ds = ray.data.from_items([{"text": text, "n": i} for i, text in enumerate(TEXTS)], override_num_blocks=4)
    options = {"bundle": str(bundle), "variant": "fp32"}
    found = ds.map_batches(BundleEncoder, fn_constructor_kwargs=options, concurrency=2, num_cpus=1, batch_size=7)
    rows = sorted(found.take_all(), key=lambda row: row["n"])
    alone = Encoder.load(bundle, variant="fp32").encode_document(TEXTS)
    assert np.stack([row["vector"] for row in rows]).tobytes() == alone.tobytes()
