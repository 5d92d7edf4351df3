"""Talking at the page, in a browser, with the whole gateway behind it."""

import re

from playwright.sync_api import Page, expect

from providers.scripted.script import FOREVER, Script

SLOW = Script(reply=tuple(f"word{n} " for n in range(60)), gap=0.05)


def test_reply_streams_and_is_then_rendered(visitor, page: Page) -> None:
    visitor.open_chat()
    expect(visitor.replies).to_have_text(re.compile("^Good evening"))
    visitor.upstream.enqueue(Script(reply=("Stars are **far", "** away.\n\n", "- Vega"), gap=0.2))
    visitor.say("And the stars?")
    expect(visitor.said).to_have_text("And the stars?")
    expect(visitor.replies.last).to_contain_text("Stars are **far")
    expect(visitor.replies.last.locator("strong")).to_have_text("far")
    expect(visitor.replies.last.locator("li")).to_have_text("Vega")
    expect(page.get_by_role("status").filter(has_text="Mia has replied.")).to_have_count(1)
    expect(page.get_by_role("heading", name="And the stars?")).to_be_visible()


def test_a_long_chat_scrolls_in_its_own_place(visitor, page: Page) -> None:
    visitor.open_chat()
    for number in range(3):
        visitor.upstream.enqueue("\n\n".join(["A paragraph of a long reply."] * 9) + f"\n\nThe {number}. end.")
        visitor.say(f"Question {number}")
        expect(visitor.replies.last).to_contain_text(f"The {number}. end.")
        expect(visitor.replies.last.locator("p").nth(8)).to_be_visible()
    assert page.evaluate("document.documentElement.scrollHeight") <= 800
    assert page.evaluate("document.querySelector('.scroller').scrollHeight") > 1200


def test_stop_keeps_what_was_said(visitor, page: Page) -> None:
    visitor.open_chat()
    visitor.upstream.enqueue(SLOW)
    visitor.say("Go on")
    expect(visitor.replies.last).to_contain_text("word1")
    page.get_by_role("button", name="Stop the reply").click()
    expect(page.get_by_text("Stopped before the end.")).to_be_visible()
    expect(page.get_by_role("button", name="Send")).to_be_visible()
    expect(visitor.replies.last).to_contain_text("word1")
    expect(visitor.replies.last).not_to_contain_text("word59")


def test_editing_makes_a_sibling_and_both_can_be_reached(visitor, page: Page) -> None:
    visitor.open_chat("Atlas")
    visitor.upstream.enqueue("To the north.", "To the south.")
    visitor.say("Which way?")
    expect(visitor.replies.locator("p")).to_have_text("To the north.")
    page.locator(".said").hover()
    page.get_by_role("button", name="Edit").click()
    editor = page.get_by_label("Edit the message")
    expect(editor).to_be_focused()
    editor.fill("Which way, please?")
    editor.press("Enter")
    expect(visitor.replies.locator("p")).to_have_text("To the south.")
    expect(visitor.said).to_have_text("Which way, please?")
    expect(page.get_by_role("group", name="Version 2 of 2")).to_be_visible()

    page.get_by_role("button", name="Previous version").click()
    expect(visitor.said).to_have_text("Which way?")
    expect(visitor.replies).to_have_text("To the north.")
    expect(page.get_by_role("button", name="Next version")).to_be_focused()
    page.reload()
    expect(visitor.said).to_have_text("Which way?")


def test_retrying_makes_another_reply(visitor, page: Page) -> None:
    visitor.open_chat("Atlas")
    visitor.upstream.enqueue("Maybe.", "Certainly.")
    visitor.say("Will it rain?")
    expect(visitor.replies.locator("p")).to_have_text("Maybe.")
    page.get_by_role("button", name="Retry").click()
    expect(visitor.replies.locator("p")).to_have_text("Certainly.")
    expect(page.get_by_role("group", name="Version 2 of 2")).to_be_visible()


def test_reload_in_mid_reply_goes_on_where_it_is(visitor, page: Page) -> None:
    visitor.open_chat()
    visitor.upstream.enqueue(SLOW)
    visitor.say("Tell me everything")
    expect(visitor.replies.last).to_contain_text("word3")
    page.reload()
    expect(page.get_by_role("button", name="Stop the reply")).to_be_visible()
    expect(visitor.replies.last).to_contain_text("word59", timeout=10_000)
    expect(page.get_by_role("button", name="Send")).to_be_visible()
    shown = visitor.replies.last.inner_text().split()
    assert shown == [f"word{n}" for n in range(60)]


def test_what_a_model_writes_cannot_run(visitor, page: Page) -> None:
    visitor.open_chat("Atlas")
    evil = (
        "<script>document.title='owned'</script><img src=/x onerror=\"document.title='owned'\">"
        "[a](javascript:document.title='owned') ![b](https://tracker.example/b.png) `<svg onload=alert(1)>`"
    )
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    visitor.upstream.enqueue(Script(reply=tuple(re.findall(".{1,9}", evil)), gap=0.02))
    visitor.say("Be evil")
    expect(visitor.replies.locator("p")).to_contain_text("<script>")
    expect(visitor.replies.locator("img, script, svg")).to_have_count(0)
    expect(visitor.replies.locator("a")).to_have_attribute("rel", "noopener nofollow")
    assert "owned" not in page.title()
    assert not [url for url in asked if "tracker" in url or url.endswith("/x")]


def test_what_a_person_writes_is_text(visitor) -> None:
    visitor.open_chat("Atlas")
    visitor.upstream.enqueue("Well.")
    visitor.say("<b>bold</b> & **stars**")
    expect(visitor.said).to_have_text("<b>bold</b> & **stars**")
    expect(visitor.said.locator("b")).to_have_count(0)


def test_reader_who_scrolled_up_is_left_there(visitor, page: Page) -> None:
    visitor.open_chat("Atlas")
    visitor.upstream.enqueue("\n\n".join(f"Paragraph {n}." for n in range(40)), SLOW)
    visitor.say("Write a lot")
    expect(visitor.replies.locator("p").last).to_have_text("Paragraph 39.")
    expect(visitor.replies.locator("p").last).to_be_in_viewport()
    visitor.say("And more")
    expect(visitor.replies.last).to_contain_text("word2")
    page.locator("#scroller").evaluate("element => element.scrollTop = 0")
    expect(page.get_by_role("button", name="Go to the newest message")).to_be_visible()
    expect(visitor.replies.last).to_contain_text("word20")
    assert page.locator("#scroller").evaluate("element => element.scrollTop") == 0
    page.get_by_role("button", name="Go to the newest message").click()
    expect(visitor.replies.last).to_be_in_viewport()


def test_a_small_step_up_is_enough_to_be_left_there(visitor, page: Page) -> None:
    visitor.open_chat("Atlas")
    visitor.upstream.enqueue("\n\n".join(f"Paragraph {n}." for n in range(40)), SLOW)
    visitor.say("Write a lot")
    expect(visitor.replies.locator("p").last).to_have_text("Paragraph 39.")
    visitor.say("And more")
    expect(visitor.replies.last).to_contain_text("word2")
    left_at = page.locator("#scroller").evaluate("element => (element.scrollTop -= 20)")
    expect(visitor.replies.last).to_contain_text("word59", timeout=10_000)
    assert page.locator("#scroller").evaluate("element => element.scrollTop") == left_at


BELOW = "element => element.scrollHeight - element.scrollTop - element.clientHeight"
"""How much of the conversation lies below what is seen of it, in pixels."""


def test_conversation_ends_above_the_message_box(visitor, page: Page) -> None:
    visitor.open_chat("Atlas")
    scroller = page.locator("#scroller")
    for number in range(3):
        visitor.upstream.enqueue("\n\n".join(["A quick reply."] * 12) + f"\n\nThe {number}. end.")
        visitor.say(f"Question {number}")
        expect(visitor.replies.last.locator("p").last).to_have_text(f"The {number}. end.")
        expect(page.get_by_role("button", name="Copy").last).to_be_in_viewport(ratio=1)
    for _ in range(6):
        visitor.message_box.press_sequentially("a line")
        visitor.message_box.press("Shift+Enter")
    assert scroller.evaluate(BELOW) <= 1
    box = visitor.message_box.bounding_box()
    assert box is not None
    assert box["height"] > 140


def test_text_that_grows_before_the_browser_tells_of_a_scroll_is_followed(visitor, page: Page) -> None:
    visitor.open_chat("Atlas")
    grow = """scroller => {
      const more = document.createElement("li");
      more.textContent = "More. ".repeat(3000);
      document.getElementById("transcript").append(more);
      scroller.dispatchEvent(new Event("scroll"));
    }"""
    page.locator("#scroller").evaluate(grow)
    expect(page.get_by_role("button", name="Go to the newest message")).to_be_hidden()
    page.wait_for_function(f"({BELOW})(document.getElementById('scroller')) <= 1")


def test_long_chats_begin_with_their_newest_messages(visitor, page: Page) -> None:
    visitor.open_chat("Atlas")
    chat = page.url.rsplit("/", 1)[1]
    say = """async ([chat, n]) => {
      for (let i = 1; i <= n; i++) await fetch(`/api/chats/${chat}/messages`, {
        method: "POST", headers: {"content-type": "application/json"}, body: JSON.stringify({content: `number ${i}`})});
    }"""
    page.evaluate(say, [chat, 60])
    page.reload()
    expect(visitor.said).to_have_count(50)
    expect(visitor.said.last).to_be_in_viewport()
    page.get_by_role("button", name="Show earlier messages").click()
    expect(visitor.said).to_have_count(60)
    expect(visitor.said.filter(has_text=re.compile(r"^number 11$"))).to_be_in_viewport()
    expect(page.get_by_role("button", name="Show earlier messages")).to_be_hidden()


def test_message_that_meets_a_running_turn_is_given_back(visitor, page: Page) -> None:
    visitor.open_chat()
    other = page.context.new_page()
    other.goto(page.url)
    expect(other.get_by_role("textbox", name="Message", exact=True)).to_be_visible()
    visitor.upstream.enqueue(SLOW)
    visitor.say("First")
    expect(visitor.replies.last).to_contain_text("word1")
    other.get_by_role("textbox", name="Message", exact=True).fill("Second")
    other.keyboard.press("Enter")
    expect(other.get_by_role("button", name="Stop the reply")).to_be_visible()
    expect(other.locator(".reply .message-body").last).to_contain_text("word2")
    expect(other.get_by_role("textbox", name="Message", exact=True)).to_have_value("Second")
    other.get_by_role("button", name="Stop the reply").click()
    expect(page.get_by_text("Stopped before the end.")).to_be_visible()


def test_stop_works_before_the_first_word(visitor, page: Page) -> None:
    visitor.open_chat()
    visitor.upstream.enqueue(Script(reply="never", first_after=FOREVER))
    visitor.say("Hello?")
    page.get_by_role("button", name="Stop the reply").click()
    expect(page.get_by_text("Stopped before the end.")).to_be_visible()


def test_a_stand_in_is_told_before_one_writes(visitor, page: Page) -> None:
    visitor.open_chat("Nova")
    told = page.get_by_role("status").filter(
        has_text="No provider key yet: the echo, which repeats what it hears, answers."
    )
    expect(told).to_be_visible()
    expect(page.locator("#availability")).not_to_contain_text("gateway keys")
    page.get_by_role("link", name="New chat").click()
    visitor.open_chat("Mia")
    expect(page.locator("#availability")).to_be_hidden()


def test_an_admin_reads_how_to_end_the_stand_in(admin, page: Page) -> None:
    admin.open_chat("Nova")
    expect(page.locator("#availability")).to_contain_text("`gateway keys add claude`")
    expect(page.locator("#availability")).to_contain_text("Until then the echo, which repeats what it hears, answers.")


def test_messages_and_composer_line_up_once_messages_scroll(visitor, page: Page) -> None:
    visitor.open_chat("Atlas")
    visitor.upstream.enqueue("\n\n".join(["A line."] * 60))
    visitor.say("At length, please.")
    expect(visitor.replies.locator("p")).to_have_count(60)
    edges = "id => { const {left, right} = document.getElementById(id).getBoundingClientRect(); return [left, right]; }"
    assert page.evaluate(edges, "composer") == page.evaluate(edges, "transcript")
    assert page.evaluate(
        "document.getElementById('scroller').offsetWidth > document.getElementById('scroller').clientWidth"
    )
