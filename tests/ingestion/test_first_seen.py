from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from embedkit.ingestion.first_seen import FirstSeen

IDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=3)


@given(st.lists(st.tuples(IDS, st.sampled_from("ab"))))
def test_it_remembers_the_first_of_each_id(rows):
    seen, model = FirstSeen(), {}
    for i, (row_id, digest) in enumerate(rows):
        assert seen.claim(row_id, digest, str(i)) == model.get(row_id)
        model.setdefault(row_id, (digest, str(i)))
    seen.close()
