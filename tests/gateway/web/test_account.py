"""The account page: one's name, password, logins and tokens, and for admins, everybody else."""

import re
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Locator, Page, expect

PASSWORD = "a lamp on the far shore"
NEW_PASSWORD = "another lamp on a nearer shore"


@pytest.fixture
def elsewhere(visitor, site) -> Iterator[httpx.Client]:
    """Another login of the visitor's."""
    with httpx.Client(base_url=site.url, headers={"user-agent": "curl/8.5.0"}, trust_env=False) as client:
        username = visitor.page.locator("#account-name").inner_text()
        told = client.post("/api/auth/login", json={"username": username, "password": PASSWORD}).json()
        client.cookies.clear()
        client.headers["authorization"] = f"Bearer {told['token']}"
        yield client


def open_account(page: Page) -> None:
    page.locator("#account-link").click()
    expect(page.get_by_role("heading", name="Account")).to_be_visible()
    expect(page.locator(".entry").first).to_be_visible()


def part(page: Page, name: str) -> Locator:
    return page.get_by_role("region", name=name, exact=True)


def test_the_display_name_is_changed_everywhere(visitor, page: Page) -> None:
    open_account(page)
    name = part(page, "Name").get_by_label("Display name")
    name.fill("   ")
    part(page, "Name").get_by_role("button", name="Save").click()
    expect(name).to_have_attribute("aria-invalid", "true")
    expect(part(page, "Name")).to_contain_text("Use one line of printable characters.")
    name.fill("Ida of the Harbour")
    name.press("Enter")
    expect(part(page, "Name").get_by_role("status")).to_have_text("Saved.")
    expect(name).not_to_have_attribute("aria-invalid", "true")
    expect(page.get_by_role("heading", name="Ida of the Harbour")).to_be_visible()
    expect(page.locator("#account-name")).to_have_text("Ida of the Harbour")
    page.reload()
    expect(page.get_by_label("Display name")).to_have_value("Ida of the Harbour")
    page.get_by_role("link", name="New chat").click()
    expect(page.get_by_text("Good evening, Ida of the Harbour.")).to_be_visible()


def test_a_new_password_ends_all_other_logins(visitor, elsewhere: httpx.Client, page: Page) -> None:
    open_account(page)
    expect(part(page, "Logins").get_by_role("listitem")).to_have_count(2)
    current, new = (part(page, "Password").get_by_label(f"{which} password") for which in ("Current", "New"))
    current.fill("something else")
    new.fill(NEW_PASSWORD)
    new.press("Enter")
    expect(part(page, "Password")).to_contain_text("This is not your password.")
    expect(current).to_be_focused()
    current.fill(PASSWORD)
    new.fill("password")
    new.press("Enter")
    expect(new).to_have_attribute("aria-invalid", "true")
    new.fill(NEW_PASSWORD)
    new.press("Enter")
    expect(part(page, "Password").get_by_role("status")).to_contain_text("Changed.")
    expect(current).to_have_value("")
    expect(part(page, "Logins").get_by_role("listitem")).to_have_count(1)
    assert elsewhere.get("/api/me").status_code == 401

    name = page.locator("#account-name").inner_text()
    page.get_by_role("main").get_by_role("button", name="Sign out", exact=True).click()
    page.get_by_label("Username or email").fill(name)
    page.get_by_label("Password").fill(NEW_PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Who would you like to talk to?")).to_be_visible()


def test_logins_are_ended_one_by_one(visitor, elsewhere: httpx.Client, page: Page) -> None:
    open_account(page)
    logins = part(page, "Logins").get_by_role("listitem")
    expect(logins).to_contain_text([re.compile("Chrome.*this browser"), "curl"])
    page.get_by_role("button", name="Sign out: curl").click()
    expect(logins).to_have_count(1)
    expect(page.get_by_role("heading", name="Logins")).to_be_focused()
    expect(page.get_by_role("button", name="Sign out all others")).to_be_hidden()
    assert elsewhere.get("/api/me").status_code == 401
    page.get_by_role("button", name=re.compile("^Sign out: Chrome")).click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_all_other_logins_are_ended_at_once(visitor, elsewhere: httpx.Client, page: Page) -> None:
    open_account(page)
    page.get_by_role("button", name="Sign out all others").click()
    expect(part(page, "Logins").get_by_role("listitem")).to_have_count(1)
    assert elsewhere.get("/api/me").status_code == 401
    assert page.evaluate("fetch('/api/me').then((answer) => answer.status)") == 200


def test_a_token_is_made_shown_once_and_revoked(visitor, site, page: Page) -> None:
    open_account(page)
    tokens = part(page, "Access tokens")
    tokens.get_by_text("New token").click()
    tokens.get_by_role("textbox", name="Name").fill("Nightly report")
    tokens.get_by_role("combobox", name="Expires").select_option("in a week")
    tokens.get_by_role("button", name="Make the token").click()
    expect(tokens.get_by_text("Choose what the token may do.")).to_be_visible()
    expect(tokens.get_by_role("checkbox", name="operations:read")).to_have_count(0)
    tokens.get_by_role("checkbox", name="chats:read").check()
    tokens.get_by_role("button", name="Make the token").click()
    expect(tokens.get_by_role("button", name="Copy")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("status").filter(has_text="Copied.")).to_have_count(1)
    token = page.evaluate("navigator.clipboard.readText()")
    assert token in page.content()
    expect(tokens.get_by_role("listitem")).to_contain_text(["Nightly report"])
    with httpx.Client(base_url=site.url, headers={"authorization": f"Bearer {token}"}, trust_env=False) as program:
        assert program.get("/api/chats").status_code == 200
        assert program.get("/api/me").status_code == 403
        tokens.get_by_role("button", name="Done").click()
        expect(page.get_by_role("heading", name="Access tokens")).to_be_focused()
        assert token not in page.content()
        tokens.get_by_role("button", name="Revoke: Nightly report").click()
        page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
        expect(tokens.get_by_role("listitem")).to_have_count(0)
        assert program.get("/api/chats").status_code == 401


def test_a_token_does_not_stay_in_the_page_that_one_leaves(visitor, page: Page) -> None:
    open_account(page)
    page.get_by_text("New token").click()
    page.get_by_role("textbox", name="Name", exact=True).fill("Nightly report")
    page.get_by_role("checkbox").first.check()
    page.get_by_role("button", name="Make the token").click()
    token = page.locator(".once code").inner_text()
    assert token.startswith("gw_pat_")
    page.get_by_role("link", name="New chat").click()
    expect(page.get_by_role("heading", name="Who would you like to talk to?")).to_be_visible()
    assert token not in page.content()


def test_admins_change_roles_and_shut_people_out(admin, friend, page: Page) -> None:
    open_account(page)
    people = part(page, "People")
    username = friend.get("/api/me").json()["username"]
    theirs = people.get_by_role("listitem").filter(has_text=username)
    role = theirs.get_by_role("combobox", name=f"Role of {username}")
    role.select_option("moderator")
    expect(page.get_by_role("status").filter(has_text="is moderator now")).to_have_count(1)
    assert friend.get("/api/me").json()["role"] == "moderator"
    role.select_option("admin")
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    expect(role).to_have_value("moderator")

    theirs.get_by_role("button", name=f"Disable: {username}").click()
    page.get_by_role("dialog").get_by_role("button", name="Disable").click()
    expect(theirs).to_contain_text("disabled")
    assert friend.get("/api/me").status_code == 401
    page.reload()
    expect(role).to_have_value("moderator")
    theirs.get_by_role("button", name=f"Enable: {username}").click()
    expect(theirs).not_to_contain_text("disabled")
    assert friend.get("/api/me").status_code == 200


def test_an_admins_new_name_is_in_the_list_of_people(admin, page: Page) -> None:
    open_account(page)
    mine = part(page, "People").get_by_role("listitem").filter(has_text="you")
    expect(mine).to_have_count(1)
    part(page, "Name").get_by_label("Display name").fill("Ida of the Harbour")
    part(page, "Name").get_by_role("button", name="Save").click()
    expect(mine).to_contain_text("Ida of the Harbour")


def test_a_change_that_is_refused_is_taken_back(admin, friend, page: Page) -> None:
    refusal = {"status": 409, "code": "last-admin", "detail": "This is the last admin."}
    page.route("**/api/admin/users/*", lambda route: route.fulfill(status=409, json=refusal))
    open_account(page)
    role = part(page, "People").get_by_role("combobox", name=f"Role of {friend.get('/api/me').json()['username']}")
    role.select_option("moderator")
    expect(page.get_by_role("alert").filter(has_text="This is the last admin.")).to_be_visible()
    expect(role).to_have_value("member")


def test_others_do_not_see_people(visitor, page: Page) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    open_account(page)
    expect(part(page, "Logins").get_by_role("listitem")).to_have_count(1)
    expect(part(page, "People")).to_have_count(0)
    assert not [url for url in asked if "/admin/" in url]


def test_the_account_fits_a_phone(admin, page: Page) -> None:
    page.set_viewport_size({"width": 360, "height": 640})
    page.get_by_role("button", name="Open the list of chats").click()
    open_account(page)
    page.get_by_text("New token").click()
    expect(page.get_by_role("checkbox").first).to_be_visible()
    assert page.evaluate("document.querySelector('#account').scrollWidth") <= 360
