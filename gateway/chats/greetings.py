"""What a persona says first in a chat."""

from gateway.errors import InvalidInput
from personas.macros import Scene, render_greetings
from personas.persona import Persona


def chosen_greeting(persona: Persona, place: int | None, scene: Scene) -> str | None:
    """The greeting at this place (None: the first), or None when the persona has none and none was asked for.

    Raises `InvalidInput` for a place where there is no greeting.
    """
    greetings = render_greetings(persona, scene)
    if place is None:
        return greetings[0] if greetings else None
    if place >= len(greetings):
        raise InvalidInput(
            f"There is no greeting {place}: {persona.name} has {len(greetings)}, numbered from 0.",
            errors=[{"pointer": "/greeting", "message": "is not one of the persona's greetings"}],
        )
    return greetings[place]
