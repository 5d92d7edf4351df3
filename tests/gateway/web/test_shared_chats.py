"""Chats that several people take part in: who said what, and what one may do in them."""

import re

from playwright.sync_api import Page, expect


def test_each_message_shows_who_said_it(visitor, friend, page: Page) -> None:
    friend.patch("/api/me", json={"display_name": "Ida of the Harbour"})
    chat = friend.open_chat(participants=[visitor.user_id])
    friend.say(chat, "Is anybody here?")
    page.goto(f"/#/chats/{chat}")
    theirs = page.locator(".message").filter(has_text="Is anybody here?")
    expect(theirs).to_contain_text("Ida of the Harbour")
    visitor.upstream.enqueue("All of us.")
    visitor.say("I am.")
    expect(visitor.replies.locator("p")).to_have_text("All of us.")
    mine = page.locator(".message").filter(has_text="I am.")
    expect(mine).to_contain_text("You")
    mine.hover()
    expect(mine.get_by_role("button", name="Edit")).to_be_visible()
    theirs.hover()
    expect(theirs.get_by_role("button", name="Copy")).to_be_visible()
    expect(theirs.get_by_role("button", name="Edit")).to_have_count(0)


def test_who_has_left_is_a_former_member(visitor, friend, page: Page) -> None:
    visitor.open_chat("Atlas")
    chat = page.url.rsplit("/", 1)[1]
    member = f"/api/chats/{chat}/members/{friend.user_id}"
    page.evaluate(
        """member => fetch(member, {
          method: "PUT", headers: {"content-type": "application/json"}, body: JSON.stringify({role: "member"})})""",
        member,
    )
    friend.say(chat, "I am off.")
    friend.delete(member).raise_for_status()
    page.reload()
    expect(page.locator(".message").filter(has_text="I am off.")).to_contain_text("A former member")


def test_a_viewer_is_offered_nothing_to_write_with(visitor, friend, page: Page) -> None:
    chat = friend.open_chat(participants=[visitor.user_id], title="To be read")
    friend.say(chat, "Only look.")
    friend.put(f"/api/chats/{chat}/members/{visitor.user_id}", json={"role": "viewer"}).raise_for_status()
    page.goto(f"/#/chats/{chat}")
    expect(page.get_by_text("Only look.")).to_be_visible()
    expect(visitor.message_box).to_be_disabled()
    expect(visitor.message_box).to_have_attribute("placeholder", re.compile("not continue"))
    expect(page.get_by_role("button", name="Send")).to_be_disabled()
