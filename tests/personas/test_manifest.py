"""The account of a Context, whole and withheld, and back from the form in which it is stored."""

import json
from datetime import UTC, datetime
from uuid import UUID

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from personas.context import Context, assemble_context
from personas.macros import Scene
from personas.manifest import manifest, message_ids, read_manifest, stored_manifest
from personas.persona import ContextPolicy, ExampleLine, Lorebook, LoreEntry, Persona
from providers.messages import ChatHistory, HistoryMessage, Role
from providers.models import Model
from providers.tokens import count_tokens

BOOK = Lorebook(id="pets", entries=(LoreEntry(id="cat", content="The cat is Moss.", keys=("cat",)),))
MODEL = Model(id="fast", provider="house", name="some", window=800, max_output=100)
PERSONA = Persona(
    id="mia",
    name="Mia",
    model="fast",
    models={"fast": MODEL},
    system="You are {{char}}.",
    post_history="It is {{time}}.",
    examples=((ExampleLine("char", "Ahoy " * 50),),),
    lorebooks=(BOOK,),
    context=ContextPolicy(min_turns=1),
)


def assemble(
    texts: list[tuple[Role, str, bool]], anywhere: bool = True, question: str = "Your cat?"
) -> tuple[Context, dict[UUID, str]]:
    """A Context, and the texts of the messages in it as the database has them."""
    rows = [
        HistoryMessage(UUID(int=n), role, text, count_tokens(text), usable)
        for n, (role, text, usable) in enumerate(texts)
    ]
    message = HistoryMessage(UUID(int=1000), Role.user, question, count_tokens(question))
    scene = Scene("Bo", datetime(2026, 3, 4, 5, 6, tzinfo=UTC), '{"mood": "good"}')
    model = msgspec.structs.replace(MODEL, system_anywhere=anywhere)
    return assemble_context(PERSONA, model, ChatHistory(tuple(rows)), message, scene), {
        row.id: row.content for row in [*rows, message]
    }


def test_manifest_tells_every_segment_and_the_messages_as_sent() -> None:
    context, _ = assemble([(Role.user, "Hello", True), (Role.assistant, "", False)])
    told = manifest(context)
    assert set(told) == {"budget", "total_tokens", "segments", "messages"}
    assert told["segments"][2] == {
        "kind": "history",
        "id": "00000000-0000-0000-0000-000000000000",
        "role": "user",
        "tokens": 5,
        "kept": True,
        "reason": "",
    }
    assert told["segments"][3]["reason"] == "not a usable reply"
    assert told["messages"][0] == {
        "role": "system",
        "content": "You are Mia.\n\n" + "An example of how Mia talks:\nMia: " + ("Ahoy " * 50).strip(),
    }
    assert [message["content"] for message in told["messages"]] == [message.content for message in context.messages]


rows = st.lists(
    st.tuples(
        st.sampled_from(list(Role)), st.sampled_from(["", "ship", "a cat", "word " * 90, 'é\n"{}']), st.booleans()
    ),
    max_size=14,
)


@settings(max_examples=80, deadline=None)
@given(texts=rows, anywhere=st.booleans())
def test_stored_manifest_reads_back_as_it_was(texts: list[tuple[Role, str, bool]], anywhere: bool) -> None:
    context, contents = assemble(texts, anywhere)
    stored = stored_manifest(context)
    assert read_manifest(stored, contents, True) == manifest(context)
    assert read_manifest(stored, {}, False) == manifest(context, show=False)
    needed = {row: contents[row] for row in message_ids(stored)}
    assert read_manifest(stored, needed, True) == manifest(context)


def test_withheld_manifest_keeps_verdicts_and_no_texts() -> None:
    context, _ = assemble([(Role.user, "Hello", True)])
    told = read_manifest(stored_manifest(context), {}, False)
    assert set(told) == {"budget", "total_tokens", "segments"}
    assert told["segments"] == manifest(context)["segments"]
    assert "Moss" not in json.dumps(told)


def test_stored_manifest_does_not_repeat_messages() -> None:
    history = [(Role.user, f"said {n}", True) for n in range(20)]
    context, _ = assemble(history)
    stored = stored_manifest(context)
    assert b"said" not in stored
    assert b"Your cat?" not in stored
    assert b"You are Mia." in stored
    assert len(stored) < 20 * 80 + 1200


def test_missing_row_is_an_error_rather_than_a_gap() -> None:
    context, _ = assemble([(Role.user, "Hello", True)])
    with pytest.raises(KeyError):
        read_manifest(stored_manifest(context), {}, True)
