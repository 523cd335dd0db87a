from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from embedkit.ingestion.rows.ledger import Ledger

IDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=3)


@given(st.lists(st.tuples(IDS, st.sampled_from("ab"))), st.lists(IDS), st.lists(IDS))
def test_it_remembers_the_first_of_each_id(rows, asked, spared):
    seen, model = Ledger(), {}
    for i, (row_id, digest) in enumerate(rows):
        assert seen.claim(row_id, digest, str(i)) == model.get(row_id)
        model.setdefault(row_id, (digest, str(i)))
    assert len(seen) == len(model)
    assert dict(seen.unmet()) == {row_id: place for row_id, (_, place) in model.items()}
    assert seen.hashes(asked) == {row_id: model[row_id][0] for row_id in asked if row_id in model}
    assert dict(seen.unmet()) == {row_id: place for row_id, (_, place) in model.items() if row_id not in asked}
    for row_id in spared:
        seen.spare(row_id)
    assert seen.spared(asked) == set(asked) & set(spared)
    seen.close()


def test_more_ids_than_a_statement_takes():
    seen = Ledger()
    ids = [str(i) for i in range(3_000)]
    for row_id in ids:
        seen.claim(row_id, "h" + row_id, "")
    assert seen.hashes(ids) == {row_id: "h" + row_id for row_id in ids}
    assert list(seen.unmet()) == []
