"""The format of personas.yaml, version 1, as pydantic models: what one value can tell about its own correctness.

What takes more than one value (references, sizes, macros) is in `references` and `checks`. The attribute docstrings
are the descriptions in the JSON Schema.
"""

from decimal import Decimal
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    model_validator,
)
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core.core_schema import DictSchema, NullableSchema, WithDefaultSchema

ID = r"^[a-z][a-z0-9_-]{0,63}$"
VARIABLE = r"^[a-z_][a-z0-9_]{0,63}$"
ENVIRONMENT = r"^[A-Z][A-Z0-9_]*$"
WEB_ADDRESS = r"^https?://[^/?#@\s]+(/[^?#@\s]*)?$"

Id: TypeAlias = Annotated[str, StringConstraints(pattern=ID)]
Variables: TypeAlias = dict[Annotated[str, StringConstraints(pattern=VARIABLE)], str | int]
Drop: TypeAlias = Literal[
    "temperature", "top_p", "stop", "seed", "presence_penalty", "frequency_penalty", "reasoning_effort"
]
Role: TypeAlias = Literal["public", "participant", "member", "moderator", "admin"]


def _exact(value: Any) -> Any:
    """YAML reads 0.15 as a float; its shortest spelling is what the operator wrote."""
    return Decimal(repr(value)) if isinstance(value, int | float) and not isinstance(value, bool) else value


Amount: TypeAlias = Annotated[Decimal, Field(ge=0), BeforeValidator(_exact, json_schema_input_type=float)]


class Strict(BaseModel):
    """No unknown keys, no guessed types."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True)


class Annotatable(Strict):
    """May also hold `x-*` keys: notes for people and other tools, which are never read."""

    model_config = ConfigDict(json_schema_extra={"patternProperties": {"^x-": True}})

    @model_validator(mode="before")
    @classmethod
    def _without_notes(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        return {key: value for key, value in data.items() if not str(key).startswith("x-")}


class FileSpec(Strict):
    """A text kept in a file of its own."""

    file: str
    """Path relative to personas.yaml, inside its directory; UTF-8, at most 256 KB."""


def _spelling(value: Any) -> str:
    return "file" if isinstance(value, dict | FileSpec) else "text"


Text: TypeAlias = Annotated[Annotated[str, Tag("text")] | Annotated[FileSpec, Tag("file")], Discriminator(_spelling)]


def _one_or_many(value: Any) -> str:
    return "many" if isinstance(value, list) else "one"


Parents: TypeAlias = Annotated[
    Annotated[Id, Tag("one")] | Annotated[list[Id], Tag("many")], Discriminator(_one_or_many)
]


class ProviderEntry(Strict):
    """Who answers. Keys are never written here."""

    kind: Literal["openai", "openai-compatible", "anthropic", "local", "echo"]
    """How the provider is spoken to."""
    base_url: Annotated[str, StringConstraints(pattern=WEB_ADDRESS)] | None = None
    """Where it is; the public address of the kind unless given. Required for openai-compatible."""
    key_env: Annotated[str, StringConstraints(pattern=ENVIRONMENT)] | None = None
    """The environment variable that may hold its key."""
    version: Annotated[str, StringConstraints(pattern=r"^\d{4}-\d{2}-\d{2}$")] | None = None
    """The version of the Anthropic API."""


class PriceEntry(Strict):
    """Money per million tokens, exact."""

    input: Amount
    output: Amount
    cache_read: Amount | None = None
    cache_write: Amount | None = None


class ModelEntry(Strict):
    """What a provider runs."""

    provider: Id
    """A provider of this file."""
    name: Annotated[str, StringConstraints(min_length=1)]
    """The model's name at the provider."""
    window: Annotated[int, Field(ge=512)]
    """Tokens that prompt and reply may take together."""
    max_output: Annotated[int, Field(ge=1)]
    """Tokens that a reply may take."""
    safety: Annotated[float, Field(ge=1, le=3)] = 1.0
    """Factor on our token counts, for models whose tokenizer counts more."""
    drops: list[Drop] = []
    """Sampling parameters that the model refuses; they are left out of requests."""
    system_anywhere: bool | None = None
    """Whether system texts may stand after the beginning. True, except for anthropic."""
    price: PriceEntry | None = None


class LoreItem(Strict):
    """A piece of knowledge."""

    id: Id
    keys: list[Annotated[str, StringConstraints(min_length=2, max_length=80)]] = []
    """Words that call for the entry when they are spoken of."""
    content: Text
    always: bool = False
    """Sent with every turn."""
    priority: Annotated[int, Field(ge=-1000, le=1000)] = 0
    """Where room is short, higher ones are sent first."""


class LorebookEntry(Strict):
    """Knowledge that several personas may share."""

    entries: Annotated[list[LoreItem], Field(min_length=1)]
    budget_tokens: Annotated[int, Field(ge=16)] = 512
    """Tokens that entries called for by their keys may take in one turn."""
    scan_depth: Annotated[int, Field(ge=1, le=20)] = 4
    """How many of the newest messages are searched for keys."""


class ParamsEntry(Strict):
    """Sampling parameters; those that are not given are left to the provider."""

    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    max_output_tokens: Annotated[int, Field(ge=1)] | None = None
    """Tokens that a reply may take, within the model's max_output."""
    stop: Annotated[list[Annotated[str, StringConstraints(min_length=1)]], Field(max_length=4)] = []
    seed: int | None = None
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high"] | None = None
    extra: dict[str, Any] = {}
    """Put into the request's body as it stands."""


class ContextEntry(Strict):
    """How much of a chat is sent."""

    max_input_tokens: Annotated[int, Field(ge=256)] | None = None
    """Tokens that a prompt may take, where the model's window would allow more."""
    reserve_output: Annotated[int, Field(ge=16)] | None = None
    """Tokens of the window kept free for the reply; the reply's limit unless given."""
    low_water: Annotated[float, Field(ge=0.3, le=1)] = 0.7
    """Share of the budget to which history is cut once it is over."""
    min_turns: Annotated[int, Field(ge=1, le=100)] = 2
    """Newest turns that are always sent."""
    examples: Literal["drop_first", "keep"] = "drop_first"


class AccessEntry(Strict):
    """Who may talk to a persona."""

    roles: list[Role] = []
    """A role admits those above it: public < member < moderator < admin."""
    users: list[Annotated[str, StringConstraints(min_length=1)]] = []
    """Usernames that are admitted whatever their role."""
    listed: bool = True
    """Whether the persona appears in lists."""


class ExampleEntry(Strict):
    """One line of an example dialogue: exactly one of the two."""

    user: str | None = None
    char: str | None = None


class DefaultsEntry(Annotatable):
    """What every persona has unless it says otherwise."""

    tags: list[Annotated[str, StringConstraints(min_length=1, max_length=40)]] = []
    system: Text = ""
    """Who the persona is and how it answers: the beginning of every prompt."""
    persona: Text = ""
    """A longer description of the character."""
    personality: Text = ""
    """The character in a few words."""
    scenario: Text = ""
    """Where and when the chat takes place."""
    examples: list[Annotated[list[ExampleEntry], Field(min_length=1)]] = []
    """Dialogues that show how the persona talks."""
    greetings: list[Text] = []
    """First messages; the chat begins with one."""
    post_history: Text = ""
    """Said after the newest message, where models listen best."""
    model: Id | None = None
    """The model that answers."""
    fallbacks: list[Id] = []
    """Models to ask, in this order, when the first fails."""
    stand_in: Id | None = None
    """The model that answers as long as none of the others has a key."""
    params: ParamsEntry = ParamsEntry()
    context: ContextEntry = ContextEntry()
    variables: Variables = {}
    """Macros of the operator's own."""
    lorebooks: list[Id] = []
    """Lorebooks of this file."""
    access: AccessEntry = AccessEntry()
    show_prompt: Literal["users", "operators", "nobody"] = "users"
    """Who may read the texts that were sent in their turns."""


class PersonaEntry(DefaultsEntry):
    """A character."""

    extends: Parents = []
    """Personas to take everything from that is not said here."""
    abstract: bool = False
    """Only there to be extended: nobody can talk to it."""
    name: Annotated[str, StringConstraints(min_length=1, max_length=80)] | None = None
    nickname: Annotated[str, StringConstraints(min_length=1, max_length=80)] | None = None
    """What {{char}} becomes, if not the name."""
    summary: Annotated[str, StringConstraints(max_length=500)] = ""
    """Shown to people as the description; never sent."""


class PersonasFile(Annotatable):
    """personas.yaml, version 1."""

    version: Literal[1]
    providers: dict[Id, ProviderEntry]
    models: dict[Id, ModelEntry]
    variables: Variables = {}
    """Macros for all personas."""
    defaults: DefaultsEntry = DefaultsEntry()
    lorebooks: dict[Id, LorebookEntry] = {}
    personas: Annotated[dict[Id, PersonaEntry], Field(min_length=1)]


class _WithoutNulls(GenerateJsonSchema):
    """What is not given is left out, `null` is a mistake, and so is a name that does not fit its pattern."""

    def nullable_schema(self, schema: NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: WithDefaultSchema) -> JsonSchemaValue:
        if isinstance(schema.get("default"), BaseModel | None):
            return self.generate_inner(schema["schema"])
        return super().default_schema(schema)

    def dict_schema(self, schema: DictSchema) -> JsonSchemaValue:
        described = super().dict_schema(schema)
        return {**described, "additionalProperties": False} if "patternProperties" in described else described


def json_schema() -> dict[str, Any]:
    """The format as JSON Schema, for editors."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **PersonasFile.model_json_schema(schema_generator=_WithoutNulls),
    }
