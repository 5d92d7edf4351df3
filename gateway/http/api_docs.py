"""The OpenAPI document at `/openapi.json`, and its page at `/docs`, which loads nothing from elsewhere."""

from importlib.metadata import version
from importlib.resources import files
from typing import Any

import msgspec
from litestar import Litestar, Request, Response, get
from litestar.exceptions import NotFoundException
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import SwaggerRenderPlugin
from litestar.openapi.spec import Components, OpenAPIMediaType, OpenAPIResponse, Operation, Schema, SecurityScheme
from litestar.params import FromPath
from litestar.routes import HTTPRoute

from gateway.http.problems import MEDIA_TYPE
from gateway.identity.cookie import NAME
from gateway.identity.guards import PUBLIC

_ASSETS = "/docs-assets"
_ASSET_TYPES = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui-standalone-preset.js": "text/javascript",
    "swagger-ui.css": "text/css",
}
_TEXT = Schema(type="string")  # type: ignore[arg-type]

PROBLEM = OpenAPIResponse(
    description="What is wrong, and what to do (RFC 9457). `code` is stable.",
    content={
        MEDIA_TYPE: OpenAPIMediaType(
            schema=Schema(
                type="object",  # type: ignore[arg-type]
                properties={
                    **dict.fromkeys(("type", "title", "detail", "code", "request_id"), _TEXT),
                    "status": Schema(type="integer"),  # type: ignore[arg-type]
                },
                required=["type", "title", "status", "detail", "code", "request_id"],
            )
        )
    },
)

OPENAPI = OpenAPIConfig(
    title="Persona chat gateway",
    version=version("persona-chat-gateway"),
    description="People chat with personas; the gateway holds the keys, streams the replies and keeps every turn.",
    path="/docs",
    use_handler_docstrings=True,
    components=Components(
        security_schemes={
            "token": SecurityScheme(type="http", scheme="bearer", description="A login's or an access token."),
            "cookie": SecurityScheme(type="apiKey", security_scheme_in="cookie", name=NAME, description="The page's."),
        }
    ),
    security=[{"token": []}, {"cookie": []}],
    render_plugins=[
        SwaggerRenderPlugin(
            path="/",
            js_url=f"{_ASSETS}/swagger-ui-bundle.js",
            css_url=f"{_ASSETS}/swagger-ui.css",
            standalone_preset_js_url=f"{_ASSETS}/swagger-ui-standalone-preset.js",
            favicon='<link rel="icon" href="data:,">',
        )
    ],
)


def complete_document(app: Litestar) -> None:
    """Say of every operation how it answers when something is wrong, and of those for anybody that they are."""
    for route in app.routes:
        if not isinstance(route, HTTPRoute):
            continue
        path = (app.openapi_schema.paths or {}).get(route.path_format)
        for handler in route.route_handlers:
            for method in handler.http_methods:
                operation: Operation | None = getattr(path, method.lower(), None)
                if operation is not None:
                    operation.responses = {**(operation.responses or {}), "default": PROBLEM}
                    operation.responses.pop("400", None)
                    if handler.opt.get("public"):
                        operation.security = []


@get("/openapi.json", opt=PUBLIC, include_in_schema=False, sync_to_thread=False)
def openapi_document(request: Request[Any, Any, Any]) -> Response[bytes]:
    """The OpenAPI document."""
    document = request.app.openapi_schema.to_schema()
    return Response(msgspec.json.encode(document, enc_hook=str), media_type="application/json")


@get("/docs-assets/{name:str}", opt=PUBLIC, include_in_schema=False, sync_to_thread=True)
def docs_asset(name: FromPath[str]) -> Response[bytes]:
    """A file of the page at `/docs`, from the package that carries it."""
    media_type = _ASSET_TYPES.get(name)
    if media_type is None:
        raise NotFoundException("The page has no such file.")
    content = files("litestar_offline_docs").joinpath("static", name).read_bytes()
    return Response(content, media_type=media_type, headers={"cache-control": "public, max-age=86400"})
