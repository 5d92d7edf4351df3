"""How many tokens there are to spend, and what a text costs."""

import math
from functools import lru_cache

from personas.persona import Persona
from providers.models import Model
from providers.tokens import MESSAGE_OVERHEAD, count_tokens


def output_limit(persona: Persona, model: Model) -> int:
    """Tokens that a reply may take: the persona's wish, within the model's limit."""
    return min(persona.max_output_tokens or model.max_output, model.max_output)


def input_budget(persona: Persona, model: Model) -> int:
    """Tokens that all messages together may take: the window without the reply's share, and no more than allowed."""
    reserved = persona.context.reserve_output or output_limit(persona, model)
    return min(model.window - reserved, persona.context.max_input_tokens or model.window)


def cost(tokens: int, model: Model) -> int:
    """What `tokens` counted in o200k_base may take of this model's window, as a message of their own.

    Segments that share a message each bear the overhead: it pays for the blank line between them.
    """
    return math.ceil(tokens * model.safety) + MESSAGE_OVERHEAD


@lru_cache(maxsize=1024)
def count_cached(text: str) -> int:
    """`count_tokens` for texts that come again each turn: an operator's, or a chat's session data."""
    return count_tokens(text)
