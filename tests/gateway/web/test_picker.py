"""Choosing whom to talk to, and how they begin."""

import re

from playwright.sync_api import Page, expect


def test_one_chooses_how_a_persona_begins(visitor, page: Page) -> None:
    mia = page.locator(".persona").filter(has_text="Mia")
    expect(mia).to_contain_text("Good evening")
    expect(page.locator(".persona").filter(has_text="Atlas").get_by_role("group")).to_have_count(0)
    previous, following = (mia.get_by_role("button", name=f"{way} greeting") for way in ("Previous", "Next"))
    expect(previous).to_be_disabled()
    following.click()
    expect(mia.get_by_role("group", name="greeting 2 of 3")).to_be_visible()
    expect(mia).to_contain_text("You are late")
    visitor.open_chat()
    expect(visitor.replies).to_have_text(re.compile("^You are late, visitor"))
    page.reload()
    expect(visitor.replies).to_have_text(re.compile("^You are late, visitor"))


def test_a_greeting_is_chosen_by_keyboard(visitor, page: Page) -> None:
    page.get_by_role("button", name="Mia").focus()
    page.keyboard.press("Tab")
    for _ in range(2):
        expect(page.get_by_role("button", name="Next greeting")).to_be_focused()
        page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Previous greeting")).to_be_focused()
    expect(page.get_by_role("status").filter(has_text="*waves*")).to_have_count(1)
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    expect(visitor.replies.locator("em")).to_have_text("waves")


def test_the_whole_card_starts_a_chat(visitor, page: Page) -> None:
    page.get_by_text("Knows the way.").click(force=True)
    expect(page.get_by_role("heading", name="Chat with Atlas")).to_be_visible()


def test_a_loading_model_is_told_until_it_is_ready(visitor, page: Page) -> None:
    loading = True

    def tell(route) -> None:
        answer = route.fetch()
        told = answer.json()
        if loading:
            for persona in told["data"]:
                persona["availability"] = {"readiness": "loading", "sentence": "The model is loading."}
        route.fulfill(response=answer, json=told)

    page.route("**/api/personas", tell)
    page.reload()
    expect(page.get_by_text("The model is loading.").first).to_be_visible()
    visitor.open_chat()
    expect(page.get_by_role("status").filter(has_text="The model is loading.")).to_be_visible()
    loading = False
    expect(page.locator("#availability")).to_be_hidden()
    page.unroute_all(behavior="wait")
