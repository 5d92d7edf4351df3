"""The list of chats: what stands where, what it takes in from elsewhere, and what can be done with each chat."""

import re
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from providers.scripted.script import FOREVER, Script

CALL = """async ([method, path, body]) => {
  const answer = await fetch(path, {
    method, headers: {"content-type": "application/json"}, body: body && JSON.stringify(body)});
  return answer.status === 204 ? null : answer.json();
}"""
TOUCH = {"is_mobile": True, "has_touch": True, "viewport": {"width": 360, "height": 640}}


def call(page: Page, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
    """Ask the API as the visitor, behind the page's back."""
    return page.evaluate(CALL, [method, path, body])


def open_chats(page: Page, *titles: str) -> list[str]:
    return [call(page, "POST", "/api/chats", {"persona": "atlas", "title": title})["id"] for title in titles]


def come_back(page: Page) -> None:
    page.evaluate("window.dispatchEvent(new Event('focus'))")


def choose(page: Page, title: str, action: str) -> None:
    page.get_by_role("link", name=re.compile(title)).hover()
    page.get_by_role("button", name=f"Actions for “{title}”").click()
    page.get_by_role("menuitem", name=action).click()


@pytest.fixture
def titles(page: Page) -> Locator:
    return page.locator(".chat-title")


def test_what_happened_elsewhere_is_seen_on_coming_back(visitor, page: Page, titles: Locator) -> None:
    first, second, third = open_chats(page, "First", "Second", "Third")
    come_back(page)
    expect(titles).to_have_text(["Third", "Second", "First"])
    call(page, "PATCH", f"/api/chats/{second}", {"title": "Second thoughts"})
    call(page, "DELETE", f"/api/chats/{third}")
    visitor.upstream.enqueue("Yes.")
    call(page, "POST", f"/api/chats/{first}/turns", {"content": "Are you there?"})
    come_back(page)
    expect(titles).to_have_text(["First", "Second thoughts"])


def test_the_open_chat_is_caught_up_with_too(visitor, friend, page: Page) -> None:
    chat = friend.open_chat(participants=[visitor.user_id])
    page.goto(f"/#/chats/{chat}")
    expect(visitor.message_box).to_be_enabled()
    friend.say(chat, "Anybody?")
    come_back(page)
    expect(visitor.said).to_have_text("Anybody?")


def test_older_chats_stay_when_the_newest_are_read_again(visitor, page: Page, titles: Locator) -> None:
    open_chats(page, *(f"Chat {number}" for number in range(1, 36)))
    come_back(page)
    expect(titles).to_have_count(30)
    page.get_by_role("button", name="Show older chats").click()
    expect(titles).to_have_count(35)
    open_chats(page, "Newest")
    come_back(page)
    expect(titles).to_have_text(["Newest", *(f"Chat {number}" for number in range(35, 0, -1))])
    expect(page.get_by_role("button", name="Show older chats")).to_be_hidden()


def test_a_row_that_did_not_change_is_not_drawn_again(visitor, page: Page, titles: Locator) -> None:
    """A click that has begun on it would be lost."""
    open_chats(page, "First")
    come_back(page)
    expect(titles).to_have_text(["First"])
    page.locator(".chat-row").evaluate("row => (row.dataset.seen = 'yes')")
    open_chats(page, "Second")
    come_back(page)
    expect(titles).to_have_text(["Second", "First"])
    expect(page.locator(".chat-row").last).to_have_attribute("data-seen", "yes")


def test_a_new_turn_moves_its_chat_up_and_names_it_at_once(visitor, page: Page, titles: Locator) -> None:
    visitor.open_chat("Atlas")
    open_chats(page, "Later")
    come_back(page)
    expect(titles).to_have_text(["Later", "Chat with Atlas"])
    visitor.upstream.enqueue(Script(reply="never", first_after=FOREVER))
    visitor.say("Which way to the harbour?")
    expect(titles).to_have_text(["Which way to the harbour?", "Later"])
    expect(page.get_by_role("heading", name="Which way to the harbour?")).to_be_visible()
    expect(page.get_by_role("img", name="A reply is being written")).to_be_visible()
    page.get_by_role("button", name="Stop the reply").click()
    expect(page.get_by_role("img", name="A reply is being written")).to_have_count(0)


def test_chats_are_renamed_and_deleted(visitor, page: Page) -> None:
    visitor.open_chat()
    choose(page, "Chat with Mia", "Rename")
    title = page.get_by_label("Title of the chat")
    title.fill("The long way home")
    title.press("Enter")
    expect(page.get_by_role("heading", name="The long way home")).to_be_visible()
    page.reload()
    expect(page.get_by_role("link", name=re.compile("The long way home"))).to_be_visible()

    choose(page, "The long way home", "Delete")
    page.keyboard.press("Escape")
    expect(page.get_by_role("link", name=re.compile("The long way home"))).to_be_visible()
    choose(page, "The long way home", "Delete")
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_role("heading", name="Who would you like to talk to?")).to_be_visible()
    expect(page.get_by_text("Your chats will be listed here.")).to_be_visible()


def test_the_menu_of_a_chat_works_by_keyboard(visitor, page: Page, titles: Locator) -> None:
    visitor.open_chat("Atlas")
    open_chats(page, "Another")
    come_back(page)
    visitor.upstream.enqueue(Script(reply=tuple(f"word{n} " for n in range(60)), gap=0.1))
    visitor.say("Go on")
    expect(titles).to_have_text(["Go on", "Another"])
    page.get_by_role("link", name=re.compile("Another")).focus()
    page.keyboard.press("Tab")
    button = page.get_by_role("button", name="Actions for “Another”")
    expect(button).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("menuitem", name="Rename")).to_be_focused()
    page.keyboard.press("ArrowUp")
    expect(page.get_by_role("menuitem", name="Delete")).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("menuitem", name="Rename")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("menu")).to_be_hidden()
    expect(button).to_be_focused()
    expect(page.get_by_role("button", name="Stop the reply")).to_be_visible()

    page.keyboard.press("Space")
    expect(page.get_by_role("menuitem", name="Rename")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_label("Title of the chat")).to_be_focused()
    page.keyboard.type("Renamed")
    page.keyboard.press("Escape")
    expect(titles).to_have_text(["Go on", "Another"])
    expect(button).to_be_focused()
    page.get_by_role("button", name="Stop the reply").click()


def test_on_a_phone_each_chat_has_its_menu(visitor, site, page: Page) -> None:
    open_chats(page, "A title that is far too long to be read on a phone in one line", "Open")
    phone = page.context.browser.new_context(
        base_url=site.url, storage_state=page.context.storage_state(), **TOUCH
    ).new_page()
    phone.goto("/")
    phone.get_by_role("button", name="Open the list of chats").tap()
    phone.get_by_role("link", name=re.compile("Open")).tap()
    phone.get_by_role("button", name="Open the list of chats").tap()
    button = phone.get_by_role("button", name=re.compile("Actions for “A title"))
    expect(button).to_be_in_viewport(ratio=1)
    assert button.evaluate("element => getComputedStyle(element).opacity") == "1"
    button.tap()
    expect(phone.get_by_role("menu")).to_be_in_viewport(ratio=1)
    phone.get_by_role("menuitem", name="Rename").tap()
    phone.get_by_label("Title of the chat").fill("Short")
    phone.get_by_label("Title of the chat").press("Enter")
    expect(phone.locator(".chat-title")).to_have_text(["Open", "Short"])
    phone.get_by_role("button", name="Actions for “Short”").tap()
    phone.get_by_role("menuitem", name="Delete").tap()
    phone.get_by_role("dialog").get_by_role("button", name="Delete").tap()
    expect(phone.locator(".chat-title")).to_have_text(["Open"])
    phone.context.close()


def test_only_what_ones_role_allows_is_offered(visitor, friend, page: Page) -> None:
    chat = friend.open_chat(participants=[visitor.user_id], title="Theirs")
    page.reload()
    expect(page.get_by_role("link", name=re.compile("Theirs"))).to_be_visible()
    expect(page.get_by_role("button", name="Actions for “Theirs”")).to_have_count(0)
    friend.put(f"/api/chats/{chat}/members/{visitor.user_id}", json={"role": "moderator"}).raise_for_status()
    come_back(page)
    page.get_by_role("button", name="Actions for “Theirs”").click()
    expect(page.get_by_role("menuitem")).to_have_text(["Rename"])
