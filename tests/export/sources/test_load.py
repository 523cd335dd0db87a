"""Where models come from: folders of several layouts, heads, GGUF, a hub on loopback, and what is refused."""

from __future__ import annotations

import hashlib
import http.server
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import transformers
from sentence_transformers import SentenceTransformer

from embedkit import ExportError
from embedkit_export import prepare
from embedkit_export.plan import backbone
from embedkit_export.sources import load as source
from embedkit_export.sources.weight_files import weights_sha256
from helpers import models

SHA = "0123456789abcdef0123456789abcdef01234567"


def test_a_head_is_taken_off(tmp_path: Path) -> None:
    plain, tokenizer = models.make("bert")
    whole = transformers.BertForMaskedLM(plain.config)
    whole.bert.load_state_dict(plain.state_dict(), strict=False)
    whole.save_pretrained(tmp_path / "mlm")
    tokenizer.save_pretrained(tmp_path / "mlm")
    found = source.load(tmp_path / "mlm")
    assert found.backbone.pooler is None, "what the checkpoint lacks is not made up"
    ids = torch.tensor([[2, 9, 11, 3]])
    with torch.no_grad():
        assert torch.equal(found.backbone(input_ids=ids).last_hidden_state, plain(input_ids=ids).last_hidden_state)


def test_a_random_weight_is_refused(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = models.save("bert", tmp_path / "bert", layers=2)
    state = load_file(folder / "model.safetensors")
    state.pop("encoder.layer.1.attention.self.query.weight")
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ExportError, match=r"lacks 1 weights of BertModel \(first: encoder\.layer\.1\.attention"):
        source.load(folder)


@pytest.mark.parametrize("family", ["bert", "xlm-roberta", "gpt2", "t5"])
def test_a_folder_without_its_tokenizer_is_refused(family: str, tmp_path: Path) -> None:
    folder = models.save(family, tmp_path / family)
    source.load(folder)
    for file in folder.glob("token*"):
        file.unlink()
    with pytest.raises(ExportError, match="tokenizer"):
        source.load(folder)


def test_a_class_that_automodel_does_not_know(tmp_path: Path) -> None:
    """The text tower of SigLIP, saved alone."""
    sizes = {"hidden_size": 48, "num_attention_heads": 3, "num_hidden_layers": 1, "intermediate_size": 50}
    tokenizer = models.make_tokenizer("t5")
    config = transformers.SiglipTextConfig(vocab_size=len(tokenizer), max_position_embeddings=64, **sizes)
    transformers.SiglipTextModel(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    assert type(source.load(tmp_path).backbone).__name__ == "SiglipTextModel"


@pytest.mark.parametrize("kind", ["WordLevel", "WordPiece", "Unigram"])
def test_a_tokenizer_without_an_unknown_token_is_refused(kind: str) -> None:
    """transformers itself raises at the first unknown word."""
    import tokenizers

    words = ["[PAD]", "the", "boat"]
    vocabulary = [(word, -1.0) for word in words] if kind == "Unigram" else {word: i for i, word in enumerate(words)}
    own = tokenizers.Tokenizer(getattr(tokenizers.models, kind)(vocabulary))
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=own, pad_token="[PAD]", model_max_length=64)
    with pytest.raises(Exception, match="unk|UNK"):
        tokenizer("zebra")
    with pytest.raises(ExportError, match=r"the tokenizer cannot encode what it does not know: .*\(unk_token\)"):
        prepare((models.make("bert")[0], tokenizer))


def test_an_encoder_of_two_halves(tmp_path: Path) -> None:
    config = transformers.T5Config(vocab_size=200, d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4)
    transformers.T5ForConditionalGeneration(config).save_pretrained(tmp_path / "t5")
    models.make_tokenizer("t5").save_pretrained(tmp_path / "t5")
    found = source.load(tmp_path / "t5")
    assert type(found.backbone).__name__ in ("T5EncoderModel", "T5Stack")
    bart = transformers.BartConfig(
        vocab_size=200, d_model=32, encoder_layers=1, decoder_layers=1, encoder_ffn_dim=64, decoder_ffn_dim=64,
        encoder_attention_heads=4, decoder_attention_heads=4, max_position_embeddings=64,
    )  # fmt: skip
    transformers.BartModel(bart).save_pretrained(tmp_path / "bart")
    models.make_tokenizer("byte").save_pretrained(tmp_path / "bart")
    assert type(source.load(tmp_path / "bart").backbone).__name__ == "BartEncoder"


def test_live_objects_are_left_as_they_are() -> None:
    model, tokenizer = models.make("gpt2")
    model.half()
    found = source.load((model, tokenizer))
    backbone.set_causal(found.backbone, False)
    assert next(found.backbone.parameters()).dtype == torch.float32
    assert next(model.parameters()).dtype == torch.float16
    assert getattr(model.config, "is_causal", True)


def test_weights_have_one_digest_however_they_are_stored(tmp_path: Path) -> None:
    folder = models.save("bert", tmp_path / "a")
    model = transformers.AutoModel.from_pretrained(folder)
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    digests = {weights_sha256([source.load(given).backbone]) for given in (folder, folder)}
    assert digests == {weights_sha256([model])}
    with torch.no_grad():
        next(model.parameters())[0, 0] += 1
    assert weights_sha256([model]) not in digests


def test_a_tensor_without_numbers_has_a_part_in_the_digest() -> None:
    """Such as the register tokens of a DINOv3 that has none."""
    without, with_none = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    with_none.load_state_dict(without.state_dict())
    with_none.register_buffer("registers", torch.zeros(1, 0, 2))
    assert weights_sha256([without]) != weights_sha256([with_none])


class _Hub(http.server.BaseHTTPRequestHandler):
    """As much of a model hub as loading needs."""

    folder: Path
    asked: list[str]

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        self.asked.append(self.path)
        path = self.path.partition("?")[0]
        if path.startswith("/api/models/team/encoder/tree/"):
            tree = [
                {"type": "file", "path": file.name, "size": file.stat().st_size, "oid": SHA}
                for file in self.folder.iterdir()
            ]
            self._send(200, json.dumps(tree).encode(), body, {"Content-Type": "application/json"})
        elif path.startswith("/api/models/team/encoder"):
            files = [{"rfilename": file.name} for file in self.folder.iterdir()]
            raw = json.dumps({"id": "team/encoder", "sha": SHA, "siblings": files, "private": False}).encode()
            self._send(200, raw, body, {"Content-Type": "application/json"})
        elif path.startswith("/team/encoder/resolve/") and (self.folder / path.rpartition("/")[2]).is_file():
            raw = (self.folder / path.rpartition("/")[2]).read_bytes()
            etag = hashlib.sha256(raw).hexdigest()
            self._send(200, raw, body, {"X-Repo-Commit": SHA, "ETag": f'"{etag}"'})
        else:
            self._send(404, b"{}", body, {"X-Error-Code": "RepoNotFound"})

    def _send(self, code: int, raw: bytes, body: bool, headers: dict[str, str]) -> None:
        self.send_response(code)
        for name, value in {**headers, "Content-Length": str(len(raw))}.items():
            self.send_header(name, value)
        self.end_headers()
        if body:
            self.wfile.write(raw)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[tuple[str, list[str]]]:
    folder = models.save("bert", tmp_path / "remote")
    (folder / "evil.py").write_text("raise SystemExit('ran')")
    handler = type("Hub", (_Hub,), {"folder": folder, "asked": []})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", handler.asked  # type: ignore[attr-defined]
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_hub_name_is_fetched_once_and_pinned(hub: tuple[str, list[str]], tmp_path: Path) -> None:
    address, asked = hub
    code = """
import json, sys
from embedkit import EmbedkitError
from embedkit_export import prepare
for line in sys.stdin:  # a process of its own, since the address of the hub is read once
    name, revision = json.loads(line)
    try:
        found = prepare(name, revision=revision)
    except EmbedkitError as error:
        print(json.dumps(f"error {error}"), flush=True)
    else:
        files = sorted(path.name for path in found.origin.folder.iterdir())
        print(json.dumps(f"{found.origin.name} {found.plan.records} {files}"), flush=True)
"""
    environment = {**os.environ, "HF_ENDPOINT": address, "HF_HOME": str(tmp_path / "cache"), "HF_HUB_DISABLE_XET": "1"}
    environment.pop("HF_HUB_OFFLINE", None)

    with subprocess.Popen(
        [sys.executable, "-c", code], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None

        def load(name: str, revision: str | None = None) -> str:
            print(json.dumps([name, revision]), file=process.stdin, flush=True)
            told: str = json.loads(process.stdout.readline())  # type: ignore[union-attr]
            return told

        first = load("team/encoder")
        assert f"team/encoder ['hub team/encoder at revision {SHA}']" in first
        assert "model.safetensors" in first
        assert "evil.py" not in first
        asked.clear()
        assert load("team/encoder", SHA) == first
        assert not [path for path in asked if "model.safetensors" in path], "it is in the cache"
        assert "no model of this name could be fetched from the hub" in load("team/nothing")
        process.stdin.close()


def test_a_gguf_file(tmp_path: Path) -> None:
    gguf = pytest.importorskip("gguf", reason="reading GGUF needs the package gguf")
    assert gguf
    file = tmp_path / "broken.gguf"
    file.write_bytes(b"GGUF" + bytes(64))
    with pytest.raises(ExportError, match="cannot be loaded"):
        source.load(file)


def test_vectors_that_a_decoder_behind_an_encoder_makes(tmp_path: Path) -> None:
    tokenizer = models.make_tokenizer("byte")
    sizes = {
        f"{half}_{name}": 2 for half in ("encoder", "decoder") for name in ("layers", "attention_heads", "ffn_dim")
    }
    config = transformers.BartConfig(
        vocab_size=len(tokenizer), d_model=16, max_position_embeddings=64, pad_token_id=1, bos_token_id=0, eos_token_id=2,
        decoder_start_token_id=2, **sizes,
    )  # fmt: skip
    plain = tmp_path / "plain"
    transformers.BartModel(config).save_pretrained(plain)
    tokenizer.save_pretrained(plain)
    found = source.load(plain)
    assert type(found.backbone).__name__ == "BartEncoder"
    assert any("of BartModel the encoder alone is exported" in note for note in found.notes)
    SentenceTransformer(str(plain), device="cpu").save(str(tmp_path / "saved"))
    with pytest.raises(ExportError, match="what the decoder of BartModel gives, which is not exported"):
        source.load(tmp_path / "saved")


def test_a_colbert_without_its_layer(tmp_path: Path) -> None:
    folder = models.save("bert", tmp_path / "model")
    file = folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "architectures": ["HF_ColBERT"]}))
    with pytest.raises(
        ExportError, match=r"'linear.weight', the layer that makes its token vectors, is not among the weights: fetch"
    ):
        source.load(folder)
