"""An object that is used as a SentenceTransformer is, for programs that take one: the vectors are a bundle's, without torch.

What works on the torch module itself (training, SetFit) is no use of it: there is none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from embedkit.errors import InputError, OptionError
from embedkit.integrations.loading import Given, described, encoder_of, found_again
from embedkit.runtime.frontends.text.template import Template
from embedkit.runtime.frontends.text.token_counter import TokenCounter
from embedkit.system.extras import needed
from embedkit.vectors.arrays import FloatArray, unit_length
from embedkit.vectors.quantization import Precision, check_precision


class SentenceTransformerLike:
    """``encode`` and what is beside it, as of sentence-transformers 5 and 6, over an `embedkit.Encoder`.

    A prompt is the template of a role, named by ``prompt_name`` (``query``, ``document``, ``passage``); ``prompt``, a text of its
    own before each, is put before it in the role ``default``. ``bundle`` is a folder, a server's address or a loaded encoder; other
    options are those of `embedkit.Encoder.load`.
    """

    def __init__(self, bundle: Given, *, truncate_dim: int | None = None, **options: Any) -> None:
        self.encoder = encoder_of(bundle, **options)
        self.truncate_dim = truncate_dim
        self.default_prompt_name: str | None = None
        if self.encoder.kind != "dense":
            raise InputError(
                f"this bundle gives {self.encoder.kind} vectors first; a SentenceTransformer gives dense ones"
            )

    @property
    def prompts(self) -> dict[str, str]:
        """The text before those of each role, where its template is one."""
        found = {}
        for role in self.encoder.roles:
            modality = self.encoder.modality(role)
            if isinstance(modality, Template) and modality.single is not None:
                found[role] = modality.spread("")[2]
        return found

    @property
    def device(self) -> str:
        """Where it computes."""
        return self.encoder.device

    @property
    def similarity_fn_name(self) -> str:
        """How vectors are compared."""
        return self.encoder.metric

    @property
    def max_seq_length(self) -> int:
        """Tokens that are read of a text."""
        return self.encoder.max_tokens

    def get_max_seq_length(self) -> int:
        """The same."""
        return self.encoder.max_tokens

    def get_sentence_embedding_dimension(self) -> int:
        """Numbers in a vector."""
        return self.truncate_dim or self.encoder.dim

    def get_embedding_dimension(self) -> int:
        """The same, as sentence-transformers 6 calls it."""
        return self.get_sentence_embedding_dimension()

    def encode(
        self,
        inputs: Any = None,
        prompt_name: str | None = None,
        prompt: str | None = None,
        batch_size: int = 32,
        show_progress_bar: bool | None = None,
        output_value: Literal["sentence_embedding", "token_embeddings"] | None = "sentence_embedding",
        precision: Precision = "float32",
        convert_to_numpy: bool = True,
        convert_to_tensor: bool = False,
        device: Any = None,
        normalize_embeddings: bool = False,
        truncate_dim: int | None = None,
        *,
        sentences: Any = None,
        task: str | None = None,
        pool: Any = None,
        chunk_size: int | None = None,
        **others: Any,
    ) -> Any:
        """(n, dim) float32 of texts, (dim,) of one; a tensor of torch, or a list of arrays, where that is asked for.

        ``batch_size``, ``device``, ``pool`` and ``chunk_size`` change no vector, and are not heeded: the encoder has its own.
        """
        given = sentences if inputs is None else inputs
        if given is None:
            raise InputError("inputs: expected a text or a list of texts, found None")
        if others:
            raise OptionError(f"encode: expected no {next(iter(others))!r}; a bundle has no such option")
        if output_value != "sentence_embedding":
            raise OptionError(
                f"output_value: a bundle gives 'sentence_embedding', found {output_value!r}; use Encoder.encode_outputs"
            )
        check_precision(precision)
        role = self._role(prompt_name, prompt)
        single = self.encoder.modality(role).is_item(given)
        items = [given] if single else list(given)
        items = [f"{prompt}{item}" if isinstance(item, str) else item for item in items] if prompt else items
        dim = truncate_dim or self.truncate_dim
        found: Any = self.encoder.encode(
            items,
            role=role,
            dim=dim,
            precision="float32" if normalize_embeddings else precision,
            progress=show_progress_bar or False,
        )
        if normalize_embeddings:
            from embedkit.vectors.quantization import quantize

            found = unit_length(found)
            found = found if precision == "float32" else quantize(found, precision)
        if convert_to_tensor:
            found = needed("torch", "convert_to_tensor", extra="export").from_numpy(np.array(found))
        elif not convert_to_numpy:
            found = list(found)
        return found[0] if single else found

    def encode_query(self, inputs: Any = None, prompt_name: str | None = None, **options: Any) -> Any:
        """`encode` in the role ``query``."""
        prompt = options.get("prompt")
        return self.encode(inputs, prompt_name if prompt_name or prompt else "query", **options)

    def encode_document(self, inputs: Any = None, prompt_name: str | None = None, **options: Any) -> Any:
        """`encode` in the role ``document``."""
        prompt = options.get("prompt")
        return self.encode(inputs, prompt_name if prompt_name or prompt else "document", **options)

    def similarity(self, embeddings1: Any, embeddings2: Any) -> Any:
        """(n, m) by the model's own measure: a tensor where one was given, as sentence-transformers does, else an array."""
        return _as_given(self.encoder.similarity(_array(embeddings1), _array(embeddings2)), embeddings1, embeddings2)

    def similarity_pairwise(self, embeddings1: Any, embeddings2: Any) -> Any:
        """(n,) of each row with the same row of the other."""
        a, b = _array(embeddings1), _array(embeddings2)
        if a.shape != b.shape:
            raise InputError(f"similarity_pairwise: expected two arrays of one shape, found {a.shape} and {b.shape}")
        parts = [self.encoder.similarity(x[None], y[None])[0, 0] for x, y in zip(a, b, strict=True)]
        return _as_given(np.array(parts, dtype=np.float32), embeddings1, embeddings2)

    def tokenize(self, texts: Sequence[str], **_: Any) -> dict[str, list[list[int]]]:
        """The ids of each text's tokens as the model reads them, without padding, in the role ``default``: how many there are is
        what programs ask for."""
        modality = self.encoder.modality()
        if not isinstance(modality, Template):
            raise InputError(f"this bundle reads {modality.noun}s, which have no tokens")
        counter = TokenCounter(modality, self.encoder.bundle.path(modality.frontend.tokenizer))
        return {"input_ids": [counter.ids(text)[: counter.max_tokens] for text in texts]}

    def preprocess(self, inputs: Sequence[str], **_: Any) -> dict[str, list[list[int]]]:
        """`tokenize`, as sentence-transformers 6 calls it."""
        return self.tokenize(inputs)

    def eval(self) -> SentenceTransformerLike:
        """It is never in training."""
        return self

    def to(self, *_: Any, **__: Any) -> SentenceTransformerLike:
        """It stays where it was loaded."""
        return self

    def _role(self, name: str | None, prompt: str | None) -> str:
        name = self.default_prompt_name if name is None else name
        if prompt or name is None:
            return "default"
        name = {"passage": "document", "corpus": "document"}.get(name, name)
        if name not in self.encoder.roles:
            raise OptionError(f"prompt_name: this bundle has {', '.join(self.encoder.roles)}, found {name!r}")
        return name

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (described(self.encoder), self.truncate_dim)


def _again(about: Mapping[str, Any], dim: int | None) -> SentenceTransformerLike:
    return SentenceTransformerLike(found_again(about), truncate_dim=dim)


def _array(given: Any) -> FloatArray:
    """(n, dim) of an array, a tensor or a list of rows; one row of a vector."""
    if hasattr(given, "detach"):
        given = given.detach().cpu().numpy()
    found: npt.NDArray[np.float32] = np.asarray(
        [row.detach().cpu().numpy() if hasattr(row, "detach") else row for row in given]
        if isinstance(given, list | tuple)
        else given,
        dtype=np.float32,
    )
    return found[None] if found.ndim == 1 else found


def _as_given(found: FloatArray, *given: Any) -> Any:
    if any(hasattr(one, "detach") for one in given):
        return needed("torch", "tensors", extra="export").from_numpy(np.array(found))
    return found
