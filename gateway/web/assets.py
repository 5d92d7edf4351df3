"""The files of the page, read once, under addresses that change when any of them does.

The digest of all files is a folder of each address: browsers may keep them for ever, and the modules, which import
each other relatively, always come from one version of the page.
"""

import hashlib
from pathlib import Path

import msgspec

_STATIC = Path(__file__).parent / "static"

_CONTENT_TYPES = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}


class Asset(msgspec.Struct, frozen=True):
    """One file of the page, as it is sent."""

    content: bytes
    content_type: str


class Assets(msgspec.Struct, frozen=True):
    """All files of the page: `files` by their path under `/assets/{digest}/`, and the page itself."""

    digest: str
    files: dict[str, Asset]
    index: Asset


def load_assets(folder: Path = _STATIC) -> Assets:
    """Read the page from the folder. A file of an unknown kind is a KeyError: it would be sent wrongly."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    files = {
        path.relative_to(folder).as_posix(): Asset(path.read_bytes(), _CONTENT_TYPES[path.suffix]) for path in paths
    }
    digest = hashlib.sha256()
    for name, asset in files.items():
        digest.update(name.encode() + b"\0" + asset.content + b"\0")
    version = digest.hexdigest()[:16]
    page = files.pop("index.html")
    addressed = page.content.replace(b"/assets/", f"/assets/{version}/".encode())
    return Assets(version, files, Asset(addressed, page.content_type))
