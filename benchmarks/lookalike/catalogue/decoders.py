"""Language models that give a text its vector."""

from __future__ import annotations

from typing import Any

from ..descriptions import Look, dense, plain

_LAST_CARD = """
def last_token_pool(last_hidden_states, attention_mask):
    return last_hidden_states[torch.arange(batch_size), attention_mask.sum(dim=1) - 1]
embeddings = F.normalize(last_token_pool(outputs.last_hidden_state, batch_dict['attention_mask']), p=2, dim=1)"""
_WEB = "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery:"
_SHORT: dict[str, Any] = {"options": {"max_tokens": 512}}
_GEMMA = {
    "query": "task: search result | query: ", "document": "title: none | text: ", "BitextMining": "task: search result | query: ",
    "Clustering": "task: clustering | query: ", "STS": "task: sentence similarity | query: ",
}  # fmt: skip

DECODERS: tuple[Look, ...] = (
    dense("intfloat/e5-mistral-7b-instruct", "mistral", "last", length=4096, normalize=True, config={"torch_dtype": "float16"},
          prompts={"web_search_query": _WEB + " "}, **_SHORT),
    dense("Salesforce/SFR-Embedding-Mistral", "mistral", "last", length=4096, normalize=True, **_SHORT),
    dense("Salesforce/SFR-Embedding-2_R", "mistral", "last", length=4096, normalize=True, **_SHORT),
    dense("Linq-AI-Research/Linq-Embed-Mistral", "mistral", "last", length=32768, normalize=True, **_SHORT),
    plain("intfloat/e5-mistral-7b-instruct-plain", "mistral", "last, unit length", _LAST_CARD, **_SHORT),
    *(
        dense(f"Qwen/Qwen3-Embedding-{size}", "qwen3", "last", length=None, normalize=True, include_prompt=True,
              prompts={"query": _WEB, "document": ""}, head="Model", config={"architectures": ["Qwen3ForCausalLM"]}, **_SHORT)
        for size in ("0.6B", "4B", "8B")
    ),
    dense("google/embeddinggemma-300m", "gemma3", "mean", length=2048, normalize=True, include_prompt=True, prompts=_GEMMA,
          layers=[(96, "linear.Identity", False), (48, "linear.Identity", False)], **_SHORT),
    dense("BAAI/bge-multilingual-gemma2", "gemma2", "last", length=4096, normalize=True, **_SHORT),
    dense("BAAI/bge-en-icl", "mistral", "last", length=512, normalize=True, include_prompt=True),
    dense("BAAI/bge-code-v1", "qwen2", "last", length=2048, normalize=True, vocabulary="qwen-eos", **_SHORT),
    dense("jinaai/jina-code-embeddings-0.5b", "qwen2", "last", length=None, normalize=True,
          prompts={"nl2code_query": "Find the most relevant code snippet given the following query:\n",
                   "nl2code_document": "Candidate code snippet:\n"}, **_SHORT),
    dense("nomic-ai/nomic-embed-code", "qwen2", "last", length=32768, normalize=True,
          prompts={"query": "Represent this query for searching relevant code: "}, vocabulary="qwen-eos", **_SHORT),
    dense("HIT-TMG/KaLM-embedding-multilingual-mini-v1", "qwen2", "mean", length=512, normalize=True,
          config={"is_causal": False}),
    dense("codefuse-ai/F2LLM-0.6B", "qwen3", "last", length=1024, normalize=True, **_SHORT),
)  # fmt: skip
