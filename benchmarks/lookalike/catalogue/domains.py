"""Encoders of a field or a language, and those that came from papers: biomedicine, science, code, search, one language."""

from __future__ import annotations

from ..descriptions import Look, dense, plain

_FIRST_CARD = "embeddings = model(**inputs).last_hidden_state[:, 0, :]"
_POOLER_CARD = "embeddings = model(**inputs, output_hidden_states=True, return_dict=True).pooler_output"
_MEAN_CARD = """
def mean_pooling(token_embeddings, mask):
    token_embeddings = token_embeddings.masked_fill(~mask[..., None].bool(), 0.)
    return token_embeddings.sum(dim=1) / mask.sum(dim=1)[..., None]"""

DOMAINS: tuple[Look, ...] = (
    dense("pritamdeka/S-PubMedBert-MS-MARCO", "bert", length=350),
    dense("pritamdeka/BioBERT-mnli-snli-scinli-scitail-mednli-stsb", "bert", length=100, vocabulary="bert-cased"),
    dense("NeuML/pubmedbert-base-embeddings", "bert"),
    plain("cambridgeltl/SapBERT-from-PubMedBERT-fulltext", "bert", "first", _FIRST_CARD),
    plain("dmis-lab/biobert-base-cased-v1.2", "bert", "mean", vocabulary="bert-cased", head="ForMaskedLM"),
    plain("emilyalsentzer/Bio_ClinicalBERT", "bert", "mean", vocabulary="bert-cased", pickled=True),
    plain("microsoft/BiomedNLP-BiomedBERT-base-uncased-abstract", "bert", "mean", head="ForMaskedLM", pickled=True),
    plain("allenai/scibert_scivocab_uncased", "bert", "mean", head="ForPreTraining", config={"architectures": ["BertForPreTraining"]}),
    plain("allenai/specter", "bert", "first", _FIRST_CARD),
    plain("allenai/specter2_base", "bert", "first", _FIRST_CARD),
    plain("microsoft/codebert-base", "roberta", "mean", config={"architectures": ["RobertaModel"]}, pickled=True),
    plain("microsoft/graphcodebert-base", "roberta", "mean", head="ForMaskedLM"),
    plain("microsoft/unixcoder-base", "roberta", "mean", vocabulary="unixcoder", config={"max_position_embeddings": 1026}),
    plain("facebook/contriever", "bert", "mean", _MEAN_CARD, config={"architectures": ["Contriever"]}, pickled=True),
    plain("facebook/contriever-msmarco", "bert", "mean", _MEAN_CARD, config={"architectures": ["Contriever"]}),
    plain("facebook/dpr-question_encoder-single-nq-base", "dpr", "question encoder", head="QuestionEncoder", pickled=True,
          options={"pooling": "first"}),
    plain("facebook/dpr-ctx_encoder-single-nq-base", "dpr", "context encoder", head="ContextEncoder", options={"pooling": "first"}),
    plain("princeton-nlp/sup-simcse-bert-base-uncased", "bert", "pooler", _POOLER_CARD),
    plain("princeton-nlp/unsup-simcse-roberta-base", "roberta", "pooler", _POOLER_CARD),
    plain("princeton-nlp/sup-simcse-roberta-large", "roberta", "pooler", _POOLER_CARD),
    plain("cointegrated/LaBSE-en-ru", "bert", "pooler", _POOLER_CARD, vocabulary="bert-cased"),
    dense("cointegrated/rubert-tiny2", "bert", "cls", length=2048, normalize=True, vocabulary="bert-cased",
          config={"max_position_embeddings": 2048}, options={"max_tokens": 1024}),
    dense("shibing624/text2vec-base-chinese", "bert", length=256),
    dense("moka-ai/m3e-base", "bert", lower=False),
    dense("jhgan/ko-sroberta-multitask", "roberta", length=128, vocabulary="bert-cased", tokens={"tokenizer_class": "BertTokenizer"},
          config={"pad_token_id": 0}),
    dense("snunlp/KR-SBERT-V40K-klueNLI-augSTS", "bert", length=128, vocabulary="bert-cased"),
    dense("setu4993/LEALLA-base", "bert", "cls", vocabulary="bert-cased"),
    dense("deepset/all-mpnet-base-v2-table", "mpnet", length=384, normalize=True),
    dense("hkunlp/instructor-large", "t5", layers=[(32, "linear.Identity", False)], normalize=True, head="EncoderModel",
          include_prompt=False),
    plain("openai/clip-vit-base-patch32-text", "clip", "text tower", head="TextModelWithProjection"),
)  # fmt: skip
