"""`/` and `/assets/...`: the built-in page, with headers that let it load only itself and talk only to us."""

from typing import Any

from litestar import HttpMethod, Request, Response, Router, route
from litestar.exceptions import NotFoundException
from litestar.params import FromPath

from gateway.identity.guards import PUBLIC
from gateway.web.assets import load_assets

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)

_ASSETS = load_assets()
_INDEX_TAG = f'"{_ASSETS.digest}"'


@route("/", http_method=[HttpMethod.GET, HttpMethod.HEAD], sync_to_thread=False)
def page(request: Request[Any, Any, Any]) -> Response[bytes]:
    """The page; asked for anew each time, so that a new version of the gateway is seen at once."""
    headers = {"etag": _INDEX_TAG, "cache-control": "no-cache"}
    if request.headers.get("if-none-match") == _INDEX_TAG:
        return Response(b"", status_code=304, headers=headers)
    return Response(_ASSETS.index.content, media_type=_ASSETS.index.content_type, headers=headers)


@route("/assets/{version:str}/{path:path}", http_method=[HttpMethod.GET, HttpMethod.HEAD], sync_to_thread=False)
def asset(version: FromPath[str], path: FromPath[str]) -> Response[bytes]:
    """A file of the page. One of another version is answered with ours, not kept: nodes are replaced one by one."""
    found = _ASSETS.files.get(str(path).removeprefix("/"))
    if found is None:
        raise NotFoundException("The page has no such file.")
    kept = "public, max-age=31536000, immutable" if version == _ASSETS.digest else "no-cache"
    return Response(found.content, media_type=found.content_type, headers={"cache-control": kept})


def _with_security_headers(response: Response[Any]) -> Response[Any]:
    response.headers["content-security-policy"] = CONTENT_SECURITY_POLICY
    response.headers["referrer-policy"] = "same-origin"
    response.headers["cross-origin-opener-policy"] = "same-origin"
    return response


router = Router(
    path="/",
    route_handlers=[page, asset],
    after_request=_with_security_headers,
    opt=PUBLIC,
    include_in_schema=False,
)
"""What `gateway/routes.py` takes from here."""
