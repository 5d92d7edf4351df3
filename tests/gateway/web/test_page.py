"""Signing in, finding one's chats, and using the page by keyboard, on a phone, and in the dark."""

import json
import re

import pytest
from playwright.sync_api import Page, expect

from providers.scripted.script import Script

PASSWORD = "a lamp on the far shore"
DARK = "rgb(27, 26, 23)"


def test_a_newcomer_signs_up_and_is_in(page: Page) -> None:
    page.goto("/")
    page.get_by_label("Password").wait_for()
    if page.get_by_role("heading", name="Sign in").is_visible():
        page.get_by_role("button", name="Create an account").click()
    page.get_by_label("Username").fill("newcomer")
    page.get_by_label("Email").fill("newcomer@example.org")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Create account").click()
    expect(page.get_by_role("heading", name="Who would you like to talk to?")).to_be_visible()
    page.reload()
    expect(page.locator("#account-name")).to_have_text("newcomer")
    cookie = next(cookie for cookie in page.context.cookies() if cookie["name"].startswith("__Host-"))
    assert cookie["httpOnly"]


def test_login_tells_the_gateways_own_sentences(visitor, page: Page) -> None:
    name = page.locator("#account-name").inner_text()
    page.get_by_role("button", name="Sign out").click()
    page.get_by_label("Username or email").fill(name)
    page.get_by_label("Password").fill("something else")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert").filter(has_text="wrong")).to_be_visible()

    page.get_by_role("button", name="Create an account").click()
    page.get_by_label("Username").fill(name)
    page.get_by_label("Email").fill("someone@example.org")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Create account").click()
    expect(page.get_by_label("Username")).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_label("Username")).to_be_focused()
    expect(page.locator("#login-username-error")).not_to_be_empty()
    expect(page.get_by_label("Set-up code")).to_be_hidden()


def test_set_up_code_is_asked_for_only_where_it_is_needed(page: Page) -> None:
    told = {"signup": "closed", "needs_setup_code": True, "first_account": True}
    page.route("**/api/setup", lambda route: route.fulfill(json=told))
    sent: list[dict[str, str]] = []

    def refuse(route) -> None:
        sent.append(json.loads(route.request.post_data))
        route.fulfill(status=403, json={"status": 403, "code": "forbidden", "detail": "This is not the code."})

    page.route("**/api/auth/signup", refuse)
    page.goto("/")
    page.get_by_label("Username").fill("ida")
    page.get_by_label("Email").fill("ida@example.org")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_label("Set-up code").fill("1234")
    page.get_by_role("button", name="Create account").click()
    expect(page.get_by_role("alert").filter(has_text="This is not the code.")).to_be_visible()
    assert sent[0]["setup_code"] == "1234"


def test_page_keeps_no_token(visitor, page: Page) -> None:
    assert page.evaluate("document.cookie") == ""
    kept = page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}])")
    assert "gw_" not in kept


def test_an_ended_login_leads_back_and_keeps_the_draft(visitor, page: Page) -> None:
    name = page.locator("#account-name").inner_text()
    visitor.open_chat()
    page.context.clear_cookies()
    visitor.say("Do not lose this")
    expect(page.get_by_role("alert").filter(has_text="Your login has ended")).to_be_visible()
    page.get_by_label("Username or email").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(visitor.message_box).to_have_value("Do not lose this")


def test_draft_survives_a_reload_and_belongs_to_its_chat(visitor, page: Page) -> None:
    visitor.open_chat()
    visitor.message_box.fill("half a thought")
    page.reload()
    expect(visitor.message_box).to_have_value("half a thought")
    page.get_by_role("link", name="New chat").click()
    visitor.open_chat("Atlas")
    expect(visitor.message_box).to_have_value("")
    page.go_back()
    page.go_back()
    expect(visitor.message_box).to_have_value("half a thought")


def test_a_chat_of_nobody_leads_to_the_choice(visitor, page: Page) -> None:
    page.goto("/#/chats/01900000-0000-7000-8000-000000000000")
    expect(page.get_by_text("There is no such chat")).to_be_visible()
    expect(page.get_by_role("heading", name="Who would you like to talk to?")).to_be_visible()


def test_context_is_explained_and_session_data_changes_it(visitor, page: Page) -> None:
    visitor.open_chat()
    visitor.upstream.enqueue("Of course.")
    visitor.say("Stay a while?")
    expect(visitor.replies.last.locator("p")).to_have_text("Of course.")
    page.get_by_role("button", name="Show the context of this reply").click()
    panel = page.get_by_role("complementary")
    expect(panel.get_by_role("heading", name="Context of this reply")).to_be_focused()
    expect(panel.get_by_text(re.compile(r"^\d+ of [\d,]+ tokens$"))).to_be_visible()
    expect(panel.locator(".segment").first).to_contain_text("System")
    expect(panel.get_by_role("heading", name="Sent, ")).to_be_visible()
    panel.get_by_text("As sent to the model").click()
    expect(panel.get_by_text("Stay a while?")).to_be_visible()

    panel.get_by_role("button", name="Show the next turn's context instead").click()
    expect(panel.get_by_role("heading", name="To be sent, ")).to_be_visible()
    panel.get_by_label("Session data").fill('{"place": "the old pier"}')
    panel.get_by_role("button", name="Save").click()
    expect(panel.locator(".segment").filter(has_text="Session data")).to_be_visible()
    panel.get_by_role("heading", name="Context of the next reply").focus()
    page.keyboard.press("Escape")
    expect(panel).to_be_hidden()
    expect(page.get_by_role("button", name="Show the context of this reply")).to_be_focused()


def test_session_data_that_is_not_saved_yet_stays(visitor, page: Page) -> None:
    visitor.open_chat("Atlas")
    page.get_by_role("button", name="Context", exact=True).click()
    data = page.get_by_label("Session data")
    expect(page.locator(".segment").first).to_be_visible()
    data.fill("The old pier, at night")
    visitor.upstream.enqueue("There.")
    visitor.say("Where are we?")
    expect(visitor.replies.locator("p")).to_have_text("There.")
    expect(page.locator(".segment").filter(has_text="History")).to_have_count(2)
    expect(data).to_have_value("The old pier, at night")
    page.get_by_role("link", name="New chat").click()
    visitor.open_chat("Mia")
    page.get_by_role("button", name="Context", exact=True).click()
    expect(page.locator(".segment").first).to_be_visible()
    expect(data).to_have_value("")


def test_reply_is_copied_as_it_was_written(visitor, page: Page) -> None:
    visitor.open_chat("Atlas")
    visitor.upstream.enqueue("North **always**.")
    visitor.say("Where?")
    expect(visitor.replies.locator("strong")).to_be_visible()
    page.get_by_role("button", name="Copy").last.click()
    assert page.evaluate("navigator.clipboard.readText()") == "North **always**."


def test_everything_can_be_done_by_keyboard(visitor, page: Page) -> None:
    page.get_by_role("heading", name="Who would you like to talk to?").focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(visitor.message_box).to_be_focused()
    page.keyboard.type("one")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("two")
    visitor.upstream.enqueue(Script(reply=tuple(f"word{n} " for n in range(60)), gap=0.05))
    page.keyboard.press("Enter")
    expect(visitor.said).to_have_text("one\ntwo")
    expect(visitor.replies.last).to_contain_text("word1")
    page.keyboard.press("Escape")
    expect(page.get_by_text("Stopped before the end.")).to_be_visible()
    expect(visitor.message_box).to_be_focused()
    page.keyboard.press("Shift+Tab")
    expect(page.get_by_role("button", name="Show the context of this reply")).to_be_focused()
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"


def test_on_a_phone_the_list_is_a_drawer_and_nothing_runs_over(visitor, page: Page) -> None:
    visitor.open_chat()
    page.set_viewport_size({"width": 360, "height": 640})
    visitor.upstream.enqueue("A" * 200 + "\n\n```\n" + "b" * 200 + "\n```\n\n|a|b|c|\n|-|-|-|\n|" + "c" * 90 + "|d|e|")
    visitor.say("Something wide")
    expect(visitor.replies.last.locator("table")).to_be_attached()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    sidebar = page.get_by_role("navigation", name="Chats")
    expect(sidebar).to_be_hidden()
    page.get_by_role("button", name="Open the list of chats").click()
    expect(sidebar).to_be_visible()
    expect(page.get_by_role("button", name="Close the list of chats")).to_be_focused()
    page.keyboard.press("Escape")
    expect(sidebar).to_be_hidden()
    expect(page.get_by_role("button", name="Open the list of chats")).to_be_focused()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(visitor, page: Page, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    visitor.open_chat()
    visitor.upstream.enqueue(
        "Some `code`, [a link](https://a.example)\n\n> and a quote", Script(status=400, error="no")
    )
    visitor.say("Show me")
    expect(visitor.replies.last.locator("blockquote")).to_be_visible()
    visitor.say("And fail")
    expect(page.locator(".message-ending.bad")).to_be_visible()
    page.get_by_role("button", name="Context", exact=True).click()
    expect(page.locator(".segment").first).to_be_visible()
    if scheme == "dark":
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == DARK
    assert page.evaluate(LOW_CONTRASTS) == []
    for view, seen in (("#/new", ".persona"), ("#/account", ".entry")):
        page.goto(f"/{view}")
        expect(page.locator(seen).first).to_be_visible()
        assert page.evaluate(LOW_CONTRASTS) == []


LOW_CONTRASTS = """() => {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const over = (colors) => {
    canvas.clearRect(0, 0, 1, 1);
    for (const color of colors) { canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1); }
    return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const luminance = (rgb) => {
    const [r, g, b] = rgb.map((c) => c / 255).map((c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const low = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    if (!node.data.trim() || !element.checkVisibility({ visibilityProperty: true, opacityProperty: true })) continue;
    if (element.closest(".visually-hidden, :disabled")) continue;
    const grounds = [];
    for (let at = element; at; at = at.parentElement) grounds.unshift(getComputedStyle(at).backgroundColor);
    const ground = luminance(over(grounds));
    const text = luminance(over([...grounds, getComputedStyle(element).color]));
    const ratio = (Math.max(ground, text) + 0.05) / (Math.min(ground, text) + 0.05);
    if (ratio < 4.5) low.push(`${ratio.toFixed(2)} ${element.className} ${node.data.trim().slice(0, 30)}`);
  }
  return low;
}"""
