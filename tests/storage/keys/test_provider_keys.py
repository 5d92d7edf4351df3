"""Sealed provider keys on both databases: what is stored, refused and audited. The envelopes here are only texts."""

import asyncio
from typing import Any
from uuid import UUID

import msgspec
import pytest
from sqlalchemy import Connection, select
from sqlmodel import col

from storage.database import Database
from storage.database.columns import new_id
from storage.errors import AlreadyTaken, NotFound
from storage.keys.provider_keys import (
    Sealed,
    SealedKey,
    add_provider_key,
    list_provider_keys,
    load_provider_key,
    remove_provider_key,
    replace_provider_key,
    rewrap_provider_keys,
)
from storage.people.audit_log import AuditEntry

pytestmark = pytest.mark.anyio

SEALED = Sealed(origin="https://a.example:443", envelope="gwe1.old.a.b", master="old", fingerprint="f1")


def sealed(**changes: str) -> Sealed:
    return msgspec.structs.replace(SEALED, **changes)


async def add(database: Database, provider: str = "house", **changes: str) -> UUID:
    key_id = new_id()
    await database.write(add_provider_key, key_id, provider, sealed(**changes))
    return key_id


def audited(connection: Connection) -> list[tuple[Any, ...]]:
    columns = (AuditEntry.actor_id, AuditEntry.action, AuditEntry.target, AuditEntry.detail)
    return [tuple(row) for row in connection.execute(select(*map(col, columns)).order_by(col(AuditEntry.at)))]


async def test_keys_are_listed_as_they_were_stored(database: Database) -> None:
    ids = [await add(database), await add(database, fingerprint="f2"), await add(database, "claude")]
    stored = await database.read(list_provider_keys)
    assert {key.id for key in stored} == set(ids)
    first = await database.read(load_provider_key, ids[0])
    assert (first.provider, first.envelope, first.replaced_at) == ("house", "gwe1.old.a.b", None)
    assert first in stored


async def test_one_key_of_a_provider_is_stored_once_for_one_origin(database: Database) -> None:
    outcomes = await asyncio.gather(*(add(database) for _ in range(16)), return_exceptions=True)
    assert sum(isinstance(one, UUID) for one in outcomes) == 1
    assert sum(isinstance(one, AlreadyTaken) for one in outcomes) == 15
    await add(database, origin="https://b.example:443")
    await add(database, "claude")
    assert len(await database.read(list_provider_keys)) == 3


async def test_a_replaced_key_is_another_one_in_the_same_row(database: Database) -> None:
    key_id, other = await add(database), await add(database, fingerprint="f2")
    await database.write(replace_provider_key, key_id, sealed(envelope="gwe1.old.c.d", fingerprint="f3"))
    now = await database.read(load_provider_key, key_id)
    assert (now.envelope, now.fingerprint, now.replaced_at is not None) == ("gwe1.old.c.d", "f3", True)
    with pytest.raises(AlreadyTaken):
        await database.write(replace_provider_key, other, sealed(fingerprint="f3"))


async def test_what_is_gone_is_not_found(database: Database) -> None:
    key_id = await add(database)
    await database.write(remove_provider_key, key_id)
    with pytest.raises(NotFound):
        await database.write(remove_provider_key, key_id)
    with pytest.raises(NotFound):
        await database.write(replace_provider_key, key_id, SEALED)
    with pytest.raises(NotFound):
        await database.read(load_provider_key, key_id)


async def test_a_rewrap_leaves_alone_what_was_changed_in_between(database: Database) -> None:
    ids = [await add(database, fingerprint=f"f{number}") for number in range(3)]
    seen: list[SealedKey] = [await database.read(load_provider_key, key_id) for key_id in ids]
    await database.write(replace_provider_key, ids[1], sealed(envelope="gwe1.old.x.y", fingerprint="f9"))
    await database.write(remove_provider_key, ids[2])
    becoming = [(key, sealed(envelope="gwe1.new.a.b", master="new", fingerprint=f"n{key.fingerprint}")) for key in seen]
    assert await database.write(rewrap_provider_keys, becoming) == 1
    assert await database.write(rewrap_provider_keys, becoming) == 0
    stored = {key.id: key for key in await database.read(list_provider_keys)}
    assert (stored[ids[0]].master, stored[ids[0]].fingerprint, stored[ids[0]].replaced_at) == ("new", "nf0", None)
    assert stored[ids[1]].envelope == "gwe1.old.x.y"


async def test_every_change_is_audited_once_without_the_envelope(database: Database) -> None:
    key_id = await add(database)
    with pytest.raises(AlreadyTaken):
        await add(database)
    await database.write(replace_provider_key, key_id, sealed(fingerprint="f2"))
    now = await database.read(load_provider_key, key_id)
    await database.write(rewrap_provider_keys, [(now, sealed(envelope="gwe1.new.a.b", master="new"))])
    await database.write(remove_provider_key, key_id)
    entries = await database.read(audited)
    assert [entry[1] for entry in entries] == [
        "provider_key.added",
        "provider_key.replaced",
        "provider_key.rewrapped",
        "provider_key.removed",
    ]
    assert {(entry[0], entry[2]) for entry in entries} == {(None, str(key_id))}
    assert all("gwe1" not in str(entry[3]) for entry in entries)
