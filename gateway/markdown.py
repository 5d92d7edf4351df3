"""A reply's Markdown as HTML that is safe to show. What a model writes is never trusted as HTML.

Two walls, either of which would do: the parser escapes raw HTML, and the sanitiser keeps an allow-list of what the
parser can make. Nothing in the result is fetched by a browser on its own: images become links.
"""

from collections.abc import Sequence
from functools import lru_cache
from html import escape

import nh3
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict

MAX_CHARACTERS = 40_000
"""Longer texts are shown as they were written; a reply of 8,000 tokens is shorter."""

MARKS = "[*_~<`|"
MAX_LINES = 2_000
"""Each line is looked at once for every quote and list that it may continue."""

MAX_NESTING = 12

MAX_MARKS = 3_000
"""The parser looks for the other end of each of these, so a text of nothing else would cost it a second."""

_TAGS = {
    *("p", "br", "hr", "h1", "h2", "h3", "h4", "h5", "h6", "blockquote", "pre", "code"),
    *("ul", "ol", "li", "em", "strong", "s", "a", "table", "thead", "tbody", "tr", "th", "td"),
}
_ATTRIBUTES = {"a": {"href", "title"}, "ol": {"start"}, "pre": {"data-language"}}

_SANITISER = nh3.Cleaner(
    tags=_TAGS,
    attributes=_ATTRIBUTES,
    url_schemes={"http", "https", "mailto"},
    url_relative="deny",
    link_rel="noopener nofollow",
    set_tag_attribute_values={"a": {"target": "_blank"}},
)


def render_markdown(text: str) -> str:
    """The text as sanitised HTML; one that would cost too much to parse is shown as it was written."""
    if len(text) > MAX_CHARACTERS or text.count("\n") > MAX_LINES or sum(map(text.count, MARKS)) > MAX_MARKS:
        return _as_written(text)
    return _rendered(text)


@lru_cache(maxsize=256)
def _rendered(text: str) -> str:
    # Stored replies never change, and a page of a chat is read again after each turn.
    return _SANITISER.clean(str(_PARSER.render(text)))


def _as_written(text: str) -> str:
    return f"<p>{escape(text).replace(chr(10), '<br>')}</p>"


def _image_as_link(self: RendererHTML, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType) -> str:
    image = tokens[index]
    label = self.renderInlineAsText(image.children or [], options, env) or "image"
    return f'<a href="{escape(str(image.attrs.get("src", "")))}">{escape(label)}</a>'


def _code_block(self: RendererHTML, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType) -> str:
    language = tokens[index].info.strip().split(" ")[0][:30]
    attribute = f' data-language="{escape(language)}"' if language else ""
    return f"<pre{attribute}><code>{escape(tokens[index].content, quote=False)}</code></pre>\n"


def _parser() -> MarkdownIt:
    # `breaks`: in a conversation a new line is meant as one.
    parser = MarkdownIt("commonmark", {"html": False, "breaks": True, "maxNesting": MAX_NESTING}).enable(
        ["table", "strikethrough"]
    )
    parser.add_render_rule("image", _image_as_link)
    parser.add_render_rule("fence", _code_block)
    return parser


_PARSER = _parser()
