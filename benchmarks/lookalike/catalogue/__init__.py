"""The published models, one kind a file."""

from .decoders import DECODERS
from .domains import DOMAINS
from .general import GENERAL
from .late_interaction import LATE_INTERACTION
from .own_code import OWN_CODE
from .rerankers import RERANKERS
from .sentence_transformers import SENTENCE_TRANSFORMERS
from .sparse import SPARSE

LOOKS = (
    *SENTENCE_TRANSFORMERS,
    *GENERAL,
    *DOMAINS,
    *DECODERS,
    *SPARSE,
    *LATE_INTERACTION,
    *RERANKERS,
    *OWN_CODE,
)
"""All of them, in the order of the table."""
