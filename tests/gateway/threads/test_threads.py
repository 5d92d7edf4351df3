"""Threads over HTTP: opening, listing, changing, deleting, and who sees them."""

import pytest
from builders import Gateway, Person

pytestmark = pytest.mark.anyio


async def thread(person: Person, title: str = "Plans", **fields: object) -> str:
    answer = await person.post("/api/threads", {"title": title, **fields})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def listed(person: Person) -> list[str]:
    return [item["id"] for item in (await person.get("/api/threads")).json()["data"]]


async def test_a_thread_is_opened_changed_and_deleted(gateway: Gateway) -> None:
    ada = await gateway.person("ada")
    opened = (await ada.post("/api/threads", {"title": " Plans "})).json()
    assert opened.items() >= {
        ("title", "Plans"),
        ("visibility", "members"),
        ("locked", False),
        ("archived", False),
        ("owner_id", ada.id),
        ("role", "owner"),
    }
    path = f"/api/threads/{opened['id']}"
    changed = await ada.patch(path, {"title": "Done", "locked": True, "archived": True, "visibility": "everyone"})
    assert changed.json() == {
        **opened,
        "title": "Done",
        "locked": True,
        "archived": True,
        "visibility": "everyone",
    }
    assert (await ada.get(path)).json() == changed.json()
    assert (await ada.delete(path)).status_code == 204
    assert (await ada.get(path)).status_code == 404
    assert (await ada.get("/api/threads")).json()["data"] == []


@pytest.mark.parametrize("body", [{}, {"title": ""}, {"title": " \n"}, {"title": "a\0"}, {"title": "x" * 201}])
async def test_a_thread_has_a_title(gateway: Gateway, body: dict[str, str]) -> None:
    ada = await gateway.person("ada")
    assert (await ada.post("/api/threads", body)).status_code == 400
    kept = await thread(ada)
    if body:
        assert (await ada.patch(f"/api/threads/{kept}", body)).status_code == 400
    assert (await ada.get(f"/api/threads/{kept}")).json()["title"] == "Plans"


async def test_a_thread_is_seen_by_its_members_or_by_everyone(gateway: Gateway) -> None:
    ada, bob, eve = await gateway.person("ada"), await gateway.person("bob"), await gateway.person("eve")
    closed, open_ = await thread(ada), await thread(ada, visibility="everyone")
    assert await listed(ada) == [open_, closed]
    assert await listed(bob) == await listed(eve) == [open_]
    assert (await eve.get(f"/api/threads/{open_}")).json()["role"] == "member"
    assert (await eve.get(f"/api/threads/{closed}")).status_code == 404
    assert (await eve.get(f"/api/threads/{closed}/members")).status_code == 404
    added = await ada.put(f"/api/threads/{closed}/members/{bob.id}", {"role": "participant"})
    assert added.json()["role"] == "member"
    assert await listed(bob) == [open_, closed]
    assert (await bob.delete(f"/api/threads/{closed}/members/{bob.id}")).status_code == 204
    assert await listed(bob) == [open_]
    await ada.patch(f"/api/threads/{open_}", {"visibility": "members"})
    assert await listed(eve) == []


async def test_who_was_made_a_viewer_of_an_open_thread_cannot_shake_it_off(gateway: Gateway) -> None:
    ada, bob = await gateway.person("ada"), await gateway.person("bob")
    open_ = await thread(ada, visibility="everyone")
    await ada.put(f"/api/threads/{open_}/members/{bob.id}", {"role": "viewer"})
    left = await bob.delete(f"/api/threads/{open_}/members/{bob.id}")
    assert (left.status_code, left.json()["code"]) == (403, "forbidden")
    assert (await bob.get(f"/api/threads/{open_}")).json()["role"] == "viewer"
    await ada.patch(f"/api/threads/{open_}", {"visibility": "members"})
    assert (await bob.delete(f"/api/threads/{open_}/members/{bob.id}")).status_code == 204


async def test_the_gateways_moderators_moderate_what_is_open_to_everyone(gateway: Gateway) -> None:
    ada = await gateway.person("ada")  # the first one is the admin
    mod, bob = await gateway.person("mod", role="moderator"), await gateway.person("bob")
    open_, closed = await thread(bob, visibility="everyone"), await thread(bob)
    for person in (ada, mod):
        assert (await person.get(f"/api/threads/{open_}")).json()["role"] == "moderator"
        assert (await person.patch(f"/api/threads/{open_}", {"locked": True})).status_code == 200
        assert (await person.patch(f"/api/threads/{open_}", {"visibility": "members"})).status_code == 403
        assert (await person.delete(f"/api/threads/{open_}")).status_code == 403
        assert (await person.get(f"/api/threads/{closed}")).status_code == 404
    await bob.put(f"/api/threads/{closed}/members/{mod.id}", {"role": "viewer"})
    assert (await mod.get(f"/api/threads/{closed}")).json()["role"] == "viewer"


async def test_a_change_is_whole_or_nothing(gateway: Gateway) -> None:
    ada, bob = await gateway.person("ada"), await gateway.person("bob")
    open_ = await thread(ada, visibility="everyone")
    await ada.put(f"/api/threads/{open_}/members/{bob.id}", {"role": "moderator"})
    refused = await bob.patch(f"/api/threads/{open_}", {"title": "Mine", "locked": True, "visibility": "members"})
    assert refused.status_code == 403
    shown = (await ada.get(f"/api/threads/{open_}")).json()
    assert (shown["title"], shown["locked"]) == ("Plans", False)


async def test_the_list_is_paged_both_ways(gateway: Gateway) -> None:
    ada, bob = await gateway.person("ada"), await gateway.person("bob")
    threads = []
    for number in range(7):
        threads.append(await thread(bob if number % 2 else ada, str(number), visibility="everyone"))
        await thread(bob, "not for ada")
    threads.append(await thread(ada))
    first = (await ada.get("/api/threads?limit=3")).json()
    second = (await ada.get("/api/threads", params={"limit": 3, "after": first["next"]})).json()
    third = (await ada.get("/api/threads", params={"limit": 3, "after": second["next"]})).json()
    assert [item["id"] for page in (first, second, third) for item in page["data"]] == threads[::-1]
    assert (first["prev"], third["next"]) == (None, None)
    back = (await ada.get("/api/threads", params={"limit": 3, "before": third["prev"]})).json()
    assert back["data"] == second["data"]
    for bad in ("x", "WzFd", "Wy0xLCIwMTg5MDAwMC0wMDAwLTcwMDAtODAwMC0wMDAwMDAwMDAwMDAiXQ"):
        assert (await ada.get("/api/threads", params={"after": bad})).status_code == 400


async def test_a_thread_is_no_chat_and_a_chat_no_thread(gateway: Gateway) -> None:
    ada = await gateway.person("ada")
    chat, plans = await ada.chat("plain"), await thread(ada)
    for answer in (
        await ada.get(f"/api/threads/{chat}"),
        await ada.patch(f"/api/threads/{chat}", {"title": "x"}),
        await ada.delete(f"/api/threads/{chat}"),
        await ada.get(f"/api/threads/{chat}/members"),
        await ada.get(f"/api/chats/{plans}"),
        await ada.delete(f"/api/chats/{plans}"),
        await ada.get(f"/api/chats/{plans}/members"),
        await ada.get(f"/api/chats/{plans}/messages"),
        await ada.post(f"/api/chats/{plans}/messages", {"content": "x"}),
        await ada.post(f"/api/chats/{plans}/turns", {"content": "x"}),
    ):
        assert answer.status_code == 404, (answer.request.url, answer.text)
    assert (await ada.get("/api/history")).json()["data"][0]["chat_id"] == chat
    assert await listed(ada) == [plans]


async def test_threads_go_with_their_owner(gateway: Gateway) -> None:
    await gateway.person("root")
    ada, bob = await gateway.person("ada"), await gateway.person("bob")
    open_ = await thread(ada, visibility="everyone")
    deleted = await ada.delete("/api/me", {"password": "a long enough passphrase"})
    assert deleted.status_code == 204
    assert (await bob.get(f"/api/threads/{open_}")).status_code == 404
