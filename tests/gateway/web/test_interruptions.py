"""Replies that fail, connections that break, gateways that restart, and chats that are taken away."""

import re
from collections.abc import Callable

import httpx
import pytest
from playwright.sync_api import Page, Route, expect

from providers.scripted.script import Script

SLOW = Script(reply=tuple(f"word{n} " for n in range(60)), gap=0.05)
GONE = "This chat was deleted, or you do not take part in it any more."


def break_off(page: Page, meanwhile: Callable[[], object] = lambda: None) -> None:
    """Cut the stream of the next turns after some words, and do something before the page comes back."""

    def cut(route: Route) -> None:
        asked = route.request
        headers = {**asked.all_headers(), "accept-encoding": "identity"}
        with httpx.stream("POST", asked.url, content=asked.post_data, headers=headers, trust_env=False) as answer:
            begun = b""
            for piece in answer.iter_raw():
                begun += piece
                if b"word2" in begun:
                    break
        meanwhile()
        route.fulfill(status=200, headers={"content-type": "text/event-stream"}, body=begun)

    page.route("**/api/chats/*/turns", cut)


def test_a_lost_connection_is_taken_up_again(visitor, page: Page) -> None:
    visitor.open_chat()
    visitor.upstream.enqueue(SLOW)
    resumed: list[str] = []
    break_off(page)
    page.on("request", lambda request: resumed.append(request.headers.get("last-event-id", "")))
    visitor.say("Tell me everything")
    expect(visitor.replies.last).to_contain_text("word59", timeout=10_000)
    expect(page.get_by_role("button", name="Send")).to_be_visible()
    assert visitor.replies.last.inner_text().split() == [f"word{n}" for n in range(60)]
    assert any(re.fullmatch(r"[0-9a-f-]{36}\.\d+", seen) for seen in resumed)


def test_a_failed_reply_says_why_and_can_be_retried(visitor, page: Page) -> None:
    visitor.open_chat("Atlas")
    visitor.upstream.enqueue(Script(status=400, error="bad_request"), "Here I am.")
    visitor.say("Are you there?")
    expect(page.locator(".message-ending.bad")).to_be_visible()
    expect(page.locator(".message-ending.bad p")).not_to_be_empty()
    page.get_by_role("button", name="Retry").click()
    expect(visitor.replies.locator("p")).to_have_text("Here I am.")


def test_a_failure_is_told_even_if_nothing_can_be_read_after_it(visitor, page: Page) -> None:
    visitor.open_chat("Atlas")
    page.route(re.compile(r"/api/chats/[0-9a-f-]+(/messages.*)?$"), lambda route: route.abort())
    visitor.upstream.enqueue(Script(status=400, error="bad_request"))
    visitor.say("Are you there?")
    expect(page.locator(".message-ending.bad p")).not_to_be_empty()
    expect(page.get_by_role("button", name="Retry")).to_be_visible()
    expect(page.get_by_role("button", name="Send")).to_be_visible()


@pytest.mark.parametrize("its_last_word", ["is heard", "is lost"])
def test_a_restart_in_mid_reply_is_told_with_a_way_to_retry(visitor, site, page: Page, its_last_word: str) -> None:
    visitor.open_chat("Atlas")
    visitor.upstream.enqueue(SLOW, "All of it.")
    if its_last_word == "is lost":
        break_off(page, site.gateway.restart)
    visitor.say("Tell me everything")
    if its_last_word == "is heard":
        expect(visitor.replies.last).to_contain_text("word2")
        site.gateway.restart()
    expect(page.locator(".message-ending.bad")).to_contain_text("The gateway stopped", timeout=15_000)
    expect(page.get_by_role("alert").filter(has_text="The connection was lost.")).to_have_count(0)
    expect(visitor.replies.last).to_contain_text("word2")
    page.get_by_role("button", name="Retry").click()
    expect(visitor.replies.last).to_have_text("All of it.")


def test_a_gateway_that_comes_back_clears_what_its_absence_left(visitor, site, page: Page) -> None:
    visitor.open_chat("Atlas")
    visitor.upstream.enqueue(SLOW)
    visitor.say("Tell me everything")
    expect(visitor.replies.last).to_contain_text("word2")
    expect(page.locator(".running-dot")).to_be_visible()
    site.gateway.stop()
    try:
        expect(page.locator(".message-ending.bad")).to_contain_text("The gateway stopped")
        expect(page.get_by_role("button", name="Send")).to_be_visible()
        expect(page.locator("#notices .banner")).to_have_count(0)
        visitor.say("And now?")
        expect(page.get_by_role("alert").filter(has_text="The gateway cannot be reached.")).to_be_visible()
    finally:
        site.gateway.start()
    expect(page.locator("#notices .banner")).to_have_count(0, timeout=10_000)
    expect(page.locator(".running-dot")).to_have_count(0)
    expect(visitor.message_box).to_have_value("And now?")


def test_the_choice_of_a_persona_is_read_when_the_gateway_comes_back(visitor, page: Page) -> None:
    page.route("**/api/personas", lambda route: route.abort())
    page.route("**/healthz", lambda route: route.abort())
    page.reload()
    expect(page.get_by_role("alert").filter(has_text="The gateway cannot be reached.")).to_be_visible()
    page.unroute_all()
    expect(page.get_by_role("button", name="Mia")).to_be_visible(timeout=10_000)
    expect(page.locator("#notices .banner")).to_have_count(0)


def test_an_end_that_was_not_heard_is_read(visitor, page: Page) -> None:
    visitor.open_chat("Atlas")
    visitor.upstream.enqueue(SLOW)

    def stop() -> None:
        chat = page.url.rsplit("/", 1)[1]
        cookies = {cookie["name"]: cookie["value"] for cookie in page.context.cookies()}
        headers = {"sec-fetch-site": "same-origin"}
        with httpx.Client(base_url=page.url, cookies=cookies, headers=headers, trust_env=False) as client:
            turn = client.get(f"/api/chats/{chat}").json()["running_turn"]
            assert client.post(f"/api/turns/{turn}/stop").status_code == 202

    break_off(page, stop)
    page.route("**/api/turns/*/events", lambda route: route.fulfill(status=204))
    visitor.say("Tell me everything")
    expect(page.get_by_text("Stopped before the end.")).to_be_visible()
    expect(page.get_by_role("status").filter(has_text="The reply was stopped.")).to_have_count(1)
    expect(page.get_by_role("alert").filter(has_text="The connection was lost.")).to_have_count(0)
    expect(page.get_by_role("button", name="Send")).to_be_visible()


def test_a_chat_that_is_taken_away_in_mid_reply_leads_to_the_choice(visitor, friend, page: Page) -> None:
    chat = friend.open_chat(participants=[visitor.user_id])
    page.goto(f"/#/chats/{chat}")
    expect(visitor.message_box).to_be_visible()
    visitor.upstream.enqueue(SLOW)
    break_off(page, lambda: friend.delete(f"/api/chats/{chat}/members/{visitor.user_id}"))
    visitor.say("Tell me everything")
    expect(page.get_by_role("alert").filter(has_text=GONE)).to_be_visible()
    expect(page.get_by_role("heading", name="Who would you like to talk to?")).to_be_visible()
    expect(page.get_by_text("Your chats will be listed here.")).to_be_visible()


@pytest.mark.parametrize("action", ["say", "retry"])
def test_a_chat_that_was_deleted_elsewhere_leads_to_the_choice(visitor, page: Page, action: str) -> None:
    visitor.open_chat("Atlas")
    visitor.upstream.enqueue("Yes.")
    visitor.say("Are you there?")
    expect(visitor.replies.locator("p")).to_have_text("Yes.")
    chat = page.url.rsplit("/", 1)[1]
    page.evaluate("chat => fetch(`/api/chats/${chat}`, {method: 'DELETE'})", chat)
    if action == "say":
        visitor.say("And now?")
    else:
        page.get_by_role("button", name="Retry").click()
    expect(page.get_by_role("alert").filter(has_text=GONE)).to_be_visible()


def test_a_login_that_ends_in_mid_reply_leads_to_the_login(visitor, page: Page) -> None:
    visitor.open_chat("Atlas")
    visitor.upstream.enqueue(SLOW)
    break_off(page, page.context.clear_cookies)
    visitor.say("Tell me everything")
    expect(page.get_by_role("alert").filter(has_text="Your login has ended")).to_be_visible()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
