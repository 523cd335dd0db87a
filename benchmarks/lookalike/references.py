"""What a look-alike is compared with: sentence-transformers, or what the code in its card computes with transformers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

from .descriptions import Look
from .folders import twin
from .texts import PAIRS, TEXTS

Values = dict[str, Any]
"""By the role's name what comes of the texts: an array (n, dim), or one for each text; of a reranker scores of pairs."""


def reference(look: Look, folder: Path, roles: Sequence[str]) -> Values:
    """What the reference makes of `TEXTS` (of `PAIRS` for a reranker) in each role."""
    if look.twin:
        folder = twin(look, folder)
    if look.reference:
        return CARDS[look.reference](look, folder, roles)
    return _STATED[look.kind](look, folder, roles)


def _loaded(kind: str, look: Look, folder: Path) -> Any:
    import sentence_transformers

    options = look.options
    precise = {"dtype": "float32"}
    found = getattr(sentence_transformers, kind)(
        str(folder), device="cpu", trust_remote_code=options.get("trust_remote_code", False), model_kwargs=precise
    )
    if options.get("trust_remote_code"):
        _compute_buffers(found[0].auto_model)
    if options.get("max_tokens"):
        found.max_seq_length = options["max_tokens"]
    return found.float().eval()


def _compute_buffers(model: Any) -> None:
    """Set what is in no checkpoint: of a model's own code transformers 5 leaves it as it was in memory."""
    fresh = type(model)(model.config)
    for name, buffer in fresh.named_buffers():
        model.get_buffer(name).data = buffer.data


def _dense(look: Look, folder: Path, roles: Sequence[str]) -> Values:
    model = _loaded("SentenceTransformer", look, folder)
    out: Values = {}
    for role in roles:
        encode = {"query": model.encode_query, "document": model.encode_document}.get(role, model.encode)
        named = {"prompt_name": role} if role not in ("default", "query", "document") else {}
        out[role] = np.stack([encode(text, **named) for text in TEXTS])
    return out


def _sparse(look: Look, folder: Path, roles: Sequence[str]) -> Values:
    model = _loaded("SparseEncoder", look, folder)
    out: Values = {}
    for role in roles:
        encode = {"query": model.encode_query, "document": model.encode_document}.get(role, model.encode)
        out[role] = torch.stack([encode([text])[0].to_dense() for text in TEXTS]).numpy()
    return out


def _multivector(look: Look, folder: Path, roles: Sequence[str]) -> Values:
    model = _loaded("MultiVectorEncoder", look, folder)
    out: Values = {}
    for role in roles:
        encode = {"query": model.encode_query, "document": model.encode_document}.get(role)
        if encode is not None:
            out[role] = [np.asarray(encode([text])[0]) for text in TEXTS]
    return out


def _reranker(look: Look, folder: Path, roles: Sequence[str]) -> Values:
    model = _loaded("CrossEncoder", look, folder)
    return {"default": np.concatenate([np.asarray(model.predict([pair])) for pair in PAIRS])}


_STATED: dict[str, Callable[[Look, Path, Sequence[str]], Values]] = {
    "dense": _dense,
    "sparse": _sparse,
    "multivector": _multivector,
    "reranker": _reranker,
}


def _pooled(
    mode: str, *, normal: bool = False, kind: str = "AutoModel"
) -> Callable[[Look, Path, Sequence[str]], Values]:
    """The vectors of a card: ``mode`` of the last hidden states, or the model's ``pooler`` or projected vector."""

    def vectors(look: Look, folder: Path, roles: Sequence[str]) -> Values:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        model = getattr(transformers, kind).from_pretrained(folder, dtype=torch.float32).eval()
        limit = look.options.get("max_tokens") or min(tokenizer.model_max_length, 512)
        rows = []
        for text in TEXTS:
            batch = tokenizer([text], truncation=True, max_length=limit, return_tensors="pt")
            with torch.no_grad():
                out = model(**batch)
            if mode in ("pooler", "embeds"):
                row = out.text_embeds[0] if mode == "embeds" else out.pooler_output[0]
            else:
                hidden = out.last_hidden_state[0]
                row = {"mean": hidden.mean(0), "first": hidden[0], "last": hidden[-1]}[mode]
            rows.append(torch.nn.functional.normalize(row, dim=-1) if normal else row)
        return dict.fromkeys(roles, torch.stack(rows).numpy())

    return vectors


def _splade(look: Look, folder: Path, roles: Sequence[str]) -> Values:
    """The card of a plain SPLADE: the greatest log(1 + relu(logit)) over the tokens."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForMaskedLM.from_pretrained(folder, dtype=torch.float32).eval()
    rows = []
    for text in TEXTS:
        with torch.no_grad():
            logits = model(**tokenizer([text], truncation=True, max_length=512, return_tensors="pt")).logits[0]
        rows.append(torch.log1p(torch.relu(logits)).amax(0))
    return dict.fromkeys(roles, torch.stack(rows).numpy())


def _m3(file: str) -> Callable[[Look, Path, Sequence[str]], Values]:
    """BGE-M3's other vectors, as FlagEmbedding computes them: relu of a weight a token, of which each word keeps the greatest and
    special tokens none; or a layer on the states after the first, of unit length."""

    def vectors(look: Look, folder: Path, roles: Sequence[str]) -> Values:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        model = transformers.AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
        layer = torch.load(folder / file)
        rows: list[Any] = []
        for text in TEXTS:
            batch = tokenizer([text], truncation=True, max_length=1024, return_tensors="pt")
            with torch.no_grad():
                states = torch.nn.functional.linear(model(**batch).last_hidden_state[0], layer["weight"], layer["bias"])
            if file.startswith("colbert"):
                rows.append(torch.nn.functional.normalize(states[1:], dim=-1).numpy())
                continue
            row = np.zeros(model.config.vocab_size, np.float32)
            np.maximum.at(row, batch["input_ids"][0].numpy(), torch.relu(states[:, 0]).numpy())
            row[tokenizer.all_special_ids] = 0
            rows.append(row)
        return dict.fromkeys(roles, rows)

    return vectors


def _table(look: Look, folder: Path, roles: Sequence[str]) -> Values:
    """model2vec: the mean of the rows of a text's tokens."""
    from safetensors.torch import load_file
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    table = load_file(folder / "model.safetensors")["embeddings"]
    rows = torch.stack([table[tokenizer.encode(text, add_special_tokens=False).ids].mean(0) for text in TEXTS])
    rows = torch.nn.functional.normalize(rows, dim=-1) if look.config["normalize"] else rows
    return dict.fromkeys(roles, rows.numpy())


def _words(template: str, words: Sequence[str], activation: str) -> Callable[[Look, Path, Sequence[str]], Values]:
    """The card of a reranker that answers by a word's logit; ``words`` are that word, and one that is taken off."""

    def scores(look: Look, folder: Path, roles: Sequence[str]) -> Values:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        ids = [tokenizer(word, add_special_tokens=False)["input_ids"][-1] for word in words]
        begin, _, end = template.partition("{document}")
        tail = tokenizer(end, add_special_tokens=False)["input_ids"]
        limit = look.options["max_tokens"]
        rows = []
        for query, document in PAIRS:
            text = begin.format(query=query) + document
            head = tokenizer(text, add_special_tokens=False)["input_ids"][: limit - len(tail)]
            with torch.no_grad():
                logits = model(input_ids=torch.tensor([head + tail])).logits[0, -1]
            score = logits[ids[0]] - (logits[ids[1]] if len(ids) > 1 else 0.0)
            rows.append(score.sigmoid() if activation == "sigmoid" else score)
        return {"default": torch.stack(rows).numpy()}

    return scores


QWEN3 = (
    "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct provided. Note that the "
    'answer can only be "yes" or "no".<|im_end|>\n<|im_start|>user\n<Instruct>: Given a web search query, retrieve relevant passages '
    "that answer the query\n<Query>: {query}\n<Document>: {document}<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
)
MXBAI = (
    "<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\n<|im_start|>user\n"
    "query: {query}\ndocument: {document}\nYou are a search relevance expert who evaluates how well documents match search queries. For "
    "each query-document pair, carefully analyze the semantic relationship between them, then provide your binary relevance judgment (0 "
    "for not relevant, 1 for relevant).\nRelevance:<|im_end|>\n<|im_start|>assistant\n"
)
GEMMA = (
    "<bos>A: {query}\nB: {document}\nGiven a query A and a passage B, determine whether the passage contains an answer to the query by "
    "providing a prediction of either 'Yes' or 'No'."
)

CARDS: dict[str, Callable[[Look, Path, Sequence[str]], Values]] = {
    "mean": _pooled("mean"),
    "mean, unit length": _pooled("mean", normal=True),
    "first": _pooled("first"),
    "first, unit length": _pooled("first", normal=True),
    "last": _pooled("last"),
    "last, unit length": _pooled("last", normal=True),
    "pooler": _pooled("pooler"),
    "question encoder": _pooled("pooler", kind="DPRQuestionEncoder"),
    "context encoder": _pooled("pooler", kind="DPRContextEncoder"),
    "text tower": _pooled("embeds", kind="CLIPTextModelWithProjection"),
    "splade": _splade,
    "bge-m3 weights": _m3("sparse_linear.pt"),
    "bge-m3 tokens": _m3("colbert_linear.pt"),
    "table": _table,
    "qwen3 reranker": _words(QWEN3, ("yes", "no"), "sigmoid"),
    "mxbai reranker": _words(MXBAI, ("1", "0"), "identity"),
    "gemma reranker": _words(GEMMA, ("Yes",), "identity"),
}
"""What the code of cards computes, by the name that a description gives it."""
