"""What the tokenizer makes of texts, and back."""

from __future__ import annotations

from helpers.served import Served


def test_tokenize(server: Served) -> None:
    got = server.ask("/tokenize", {"inputs": ["ab", ""]}).json
    assert [one["id"] for one in got[0]] == [256, 97, 98, 257]
    assert [one["special"] for one in got[0]] == [True, False, False, True]
    assert got[0][1] == {"id": 97, "text": "a", "special": False, "start": 0, "stop": 1}
    assert [one["id"] for one in got[1]] == [256, 257]
    plain = server.ask("/tokenize", {"inputs": "x" * 300, "add_special_tokens": False}).json
    assert len(plain[0]) == 300, "nothing is cut"


def test_decode(server: Served) -> None:
    ids = [256, 97, 98, 257]
    one = server.ask("/decode", {"ids": ids}).json
    assert one == server.ask("/decode", {"ids": [ids]}).json
    assert one[0].replace(" ", "") == "ab"
    whole = server.ask("/decode", {"ids": ids, "skip_special_tokens": False}).json
    assert whole[0].replace(" ", "") == "<s>ab</s>"


def test_what_is_refused(server: Served) -> None:
    for path, body in (
        ("/decode", {"ids": [100_277]}),
        ("/decode", {"ids": [-1]}),
        ("/decode", {"ids": ["a"]}),
        ("/decode", {"ids": [True]}),
        ("/decode", {"ids": []}),
        ("/decode", {"ids": [[1], 2]}),
        ("/tokenize", {"inputs": [7]}),
        ("/tokenize", {}),
    ):
        assert server.ask(path, body).status == 422, body
    assert server.ask("/tokenize", {"inputs": []}).status == 400
