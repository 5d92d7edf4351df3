"""A reply's Markdown becomes HTML in which nothing can run, and nothing is loaded."""

import time
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.markdown import MAX_CHARACTERS, MAX_MARKS, render_markdown

ATTACKS = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
    "<a href='javascript:alert(1)'>x</a>",
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x](&#106;avascript:alert(1))",
    "[x](java\nscript:alert(1))",
    "[x](data:text/html;base64,PHNjcmlwdD4=)",
    "[x](vbscript:msgbox(1))",
    "![x](javascript:alert(1))",
    '![x" onerror="alert(1)](http://a.example/b.png)',
    "![](http://a.example/track.png)",
    '[x](http://a.example "t\\" onmouseover=\\"alert(1)")',
    '```py" onclick="alert(1)\ncode\n```',
    "```<script>\n</code></pre><script>alert(1)</script>\n```",
    "`<script>alert(1)</script>`",
    '<http://a.example/?x="onclick=alert(1)>',
    "<style>body{background:url(http://a.example)}</style>",
    "<form action=http://a.example><button>x</button></form>",
    "<math><mtext></mtext><mglyph><style><!--</style><img title='--&gt;&lt;img src=1 onerror=alert(1)&gt;'>",
    "[a]: javascript:alert(1)\n\n[a]",
    "<!-- <script> -->",
    "<![CDATA[<script>alert(1)</script>]]>",
]

TAGS = {
    *("p", "br", "hr", "h1", "h2", "h3", "h4", "h5", "h6", "blockquote", "pre", "code", "ul", "ol", "li"),
    *("em", "strong", "s", "a", "table", "thead", "tbody", "tr", "th", "td"),
}
ATTRIBUTES = {"a": {"href", "title", "rel", "target"}, "ol": {"start"}, "pre": {"data-language"}}


PIECES = [
    *(("[", 1), ("![", 2), ("[a](", 2), ("*a ", 3), ("**a*", 1), ("_a", 2), ("~~a", 1), ("<", 1), ("`a", 2)),
    *(("> ", 13), ("- ", 13), ("|a", 2), ("a\n", 13), ("&amp;", 13), ("\\", 13), ("# a\n", 13), ("    a\n", 13)),
]
"""Texts that are dear to parse, and how many of their characters, for each mark allowed, come to the limits."""


class _Inspector(HTMLParser):
    """Fails at the first tag, attribute or address that must not be there."""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in TAGS
        found = dict(attrs)
        assert set(found) <= ATTRIBUTES.get(tag, set())
        if tag == "a":
            assert (found.get("href") or "http:").split(":")[0].lower() in ("http", "https", "mailto")
            assert found["rel"] == "noopener nofollow"
            assert found["target"] == "_blank"

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data}")


def inspect(html: str) -> None:
    inspector = _Inspector()
    inspector.feed(html)
    inspector.close()


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_is_shown_and_does_nothing(attack: str) -> None:
    inspect(render_markdown(attack))


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from([*ATTACKS, "**", "[", "](", ")", "<", ">", "`", '"', "\n", "|", "-", " "]), max_size=8))
def test_no_mixture_of_attacks_gets_through(pieces: list[str]) -> None:
    inspect(render_markdown("".join(pieces)))


def test_raw_html_is_shown_as_it_was_written() -> None:
    assert render_markdown("<b>hi</b>") == "<p>&lt;b&gt;hi&lt;/b&gt;</p>\n"


def test_a_link_tells_the_other_site_nothing_and_opens_beside_us() -> None:
    html = render_markdown("[a](https://a.example)")
    assert html == '<p><a href="https://a.example" target="_blank" rel="noopener nofollow">a</a></p>\n'


def test_a_link_into_this_gateway_is_no_link() -> None:
    assert "href" not in render_markdown("[me](/api/me)")


def test_an_image_is_a_link_to_it() -> None:
    html = render_markdown("![a lamp](https://a.example/lamp.png)")
    assert "<img" not in html
    assert '<a href="https://a.example/lamp.png"' in html
    assert ">a lamp</a>" in html


def test_a_new_line_is_meant_as_one() -> None:
    assert render_markdown("one\ntwo") == "<p>one<br>\ntwo</p>\n"


def test_a_code_block_names_its_language() -> None:
    assert render_markdown("```python\na < b\n```").startswith('<pre data-language="python"><code>a &lt; b')


def test_a_table_is_a_table() -> None:
    assert "<td>1</td>" in render_markdown("|a|b|\n|-|-|\n|1|2|")


def test_what_is_too_long_to_parse_is_shown_as_it_was_written() -> None:
    html = render_markdown("<i>**x**\n" * MAX_CHARACTERS)
    assert html.startswith("<p>&lt;i&gt;**x**<br>")


@pytest.mark.parametrize(
    "text",
    [(piece * MAX_CHARACTERS)[: length * MAX_MARKS] for piece, length in PIECES],
)
def test_no_text_takes_long(text: str) -> None:
    began = time.process_time()
    render_markdown(text)
    assert time.process_time() - began < 1


def test_many_quoted_lines_cost_little() -> None:
    text = ">" * 18 + "a\n" * 10_000
    began = time.perf_counter()
    assert render_markdown(text).startswith("<p>")
    assert time.perf_counter() - began < 0.1
