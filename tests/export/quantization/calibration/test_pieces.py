"""A graph in pieces: one after the other they compute what the whole does, and hand on little."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from embedkit_export import prepare
from embedkit_export.graphs import capture, fuse
from embedkit_export.quantization import rowwise
from embedkit_export.quantization.calibration import pieces, sessions, statistics
from helpers import models
from helpers.products import feeds
from helpers.untouched import untouched


@pytest.fixture(scope="module")
def local_and_global(tmp_path_factory: pytest.TempPathFactory) -> ir.Model:
    """A graph whose layers have two masks in turn, and which reads texts long enough to cut their attention."""
    saved = models.save("embedding-gemma", tmp_path_factory.mktemp("pieces"), max_position_embeddings=1024)
    model = capture.capture(prepare(saved).plan.graphs["default"])
    fuse.fuse(model)
    return model


def _one_after_the_other(model: ir.Model, found: list[pieces.Piece], feed: dict[str, Any]) -> dict[str, Any]:
    """What the pieces make of a feed; each is given what it says that it reads, and nothing else."""
    known: dict[str, Any] = dict(feed)
    for piece in found:
        session = sessions.opened(piece.model(model))
        assert {value.name for value in session.get_inputs()} == set(piece.inputs)
        names = [value.name for value in session.get_outputs()]
        assert set(names) == {*piece.outputs, *piece.asked}
        known.update(zip(names, session.run(names, {name: known[name] for name in piece.inputs}), strict=True))
    return known


@pytest.mark.parametrize(("graph", "length"), [("fused", 9), ("local_and_global", 600)])
def test_pieces_compute_what_the_whole_does(graph: str, length: int, request: pytest.FixtureRequest) -> None:
    """With attention in a loop too."""
    model = request.getfixturevalue(graph)
    (feed,) = feeds(length)
    asked = {name: 4 * width for name, width in rowwise.read(model).items()}
    whole = sessions.tapped(model, list(asked), [feed])
    session = sessions.opened(whole)
    expected = dict(zip(asked, session.run(list(asked), feed), strict=True))
    found = pieces.pieces(whole, asked, 1 << 15)
    assert len(found) > 2
    assert sorted(name for piece in found for name in piece.asked) == sorted(asked)
    with untouched(whole):
        made = _one_after_the_other(whole, found, feed)
    for name, values in expected.items():
        assert np.allclose(made[name], values, atol=1e-5), name


def test_a_graph_that_fits_is_one_piece_without_what_nothing_asks_for(fused: ir.Model) -> None:
    asked = dict.fromkeys(rowwise.read(fused), 0)
    first = next(iter(asked))
    (piece,) = pieces.pieces(fused, asked, 1 << 30)
    assert set(piece.asked) == set(asked)
    assert piece.outputs == ()
    (small,) = pieces.pieces(fused, {first: 0}, 1 << 30)
    assert len(list(small.model(fused).graph)) < len(list(piece.model(fused).graph)) < len(list(fused.graph))


def test_a_piece_ends_where_little_is_handed_on_and_holds_less_than_twice_the_room(fused: ir.Model) -> None:
    """Between two parts of a BERT that are the token vectors, the mask and two shapes; inside of attention there would be more."""
    room = 80_000  # about one of two layers, whose weights are four times 64 x 64 and twice 64 x 128 numbers
    found = pieces.pieces(fused, dict.fromkeys(rowwise.read(fused), 0), room)
    assert len(found) == 3
    assert all(len(piece.outputs) <= 4 for piece in found)
    for piece in found:
        weights = [value.const_value for value in piece.model(fused).graph.initializers.values()]
        assert sum(tensor.nbytes for tensor in weights if tensor is not None) <= 2 * room


def test_a_place_that_hands_on_what_has_no_type_is_none_to_cut_at(fused: ir.Model) -> None:
    asked = dict.fromkeys(rowwise.read(fused), 0)
    for node in fused.graph:
        for value in node.outputs:
            value.type = None
    assert len(pieces.pieces(fused, asked, 1)) == 1


def test_a_name_that_nothing_makes_is_told(fused: ir.Model) -> None:
    with pytest.raises(KeyError, match="no such value"):
        pieces.pieces(fused, {"no such value": 0}, 1)


def test_statistics_are_the_same_in_any_number_of_pieces(fused: ir.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = dict(rowwise.calibrate(fused, feeds(5, 12, 20)))
    monkeypatch.setattr(statistics, "ROOM", 1)
    for name, found in rowwise.calibrate(fused, feeds(5, 12, 20)):
        expected = whole.pop(name)
        assert np.allclose(found.peak, expected.peak, rtol=1e-5)
        assert np.allclose(found.moment(), expected.moment(), atol=1e-4)
        assert found.sample.shape == expected.sample.shape
    assert not whole
