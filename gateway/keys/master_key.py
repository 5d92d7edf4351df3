"""The master keys, which seal the provider keys in the database: from the setting, else from a file.

Both hold base64 keys of 32 bytes, comma-separated; the first seals, all of them open. The file is made when the first
provider key is stored, and never in the place of one that got lost: a new key would open nothing.
"""

import os
import secrets
import tempfile
from base64 import b64decode, b64encode
from pathlib import Path

from gateway.settings import FolderRefused, Settings, make_private
from storage.keys.vault import KEY_BYTES

HOW_TO_MAKE = "`openssl rand -base64 32` makes one"


class MasterKeyRefused(ValueError):
    """The master key is missing, not a key, or not kept secret; the message says what to do, and quotes nothing."""


def master_key_file(settings: Settings) -> Path:
    """Where the master keys are when the setting is absent."""
    return settings.data_dir / "master.key"


def read_master_keys(settings: Settings) -> list[bytes] | None:
    """The master keys, the primary one first; None when there is neither a setting nor a file."""
    if settings.master_key is not None:
        return _parse(settings.master_key.get_secret_value(), "GATEWAY_MASTER_KEY")
    path = master_key_file(settings)
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_mode & 0o077:
                raise MasterKeyRefused(f"{path} can be read by others. Take that away: chmod 600 {path}")
            return _parse(file.read().decode("ascii", "replace"), str(path))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise MasterKeyRefused(f"{path} cannot be read ({error.strerror}). Make it readable for the gateway.") from None


def make_master_key(settings: Settings) -> list[bytes]:
    """A new master key in a file that only we may read; the one of whoever makes it first, if two do at once."""
    path = master_key_file(settings)
    try:
        _write_once(path, b64encode(secrets.token_bytes(KEY_BYTES)) + b"\n")
    except (OSError, FolderRefused) as error:
        why = error.strerror if isinstance(error, OSError) else "nor its folder"
        raise MasterKeyRefused(
            f"{path} cannot be made ({why}). Set GATEWAY_MASTER_KEY in its place ({HOW_TO_MAKE})."
        ) from None
    keys = read_master_keys(settings)
    if keys is None:
        raise MasterKeyRefused(f"{path} vanished while it was made. Try again.")
    return keys


def _write_once(path: Path, content: bytes) -> None:
    make_private(path.parent)
    # Written aside (O_EXCL, mode 0600) and then linked: it appears once, whole, and never in the place of another.
    handle, aside = tempfile.mkstemp(dir=path.parent, prefix=".master.key.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.link(aside, path)
        _sync(path.parent)
    except FileExistsError:
        pass
    finally:
        os.unlink(aside)


def _parse(text: str, where: str) -> list[bytes]:
    keys = []
    for number, word in enumerate(text.strip().split(","), start=1):
        try:
            key = b64decode(word.strip(), validate=True)
        except ValueError:
            key = b""
        if len(key) != KEY_BYTES:
            raise MasterKeyRefused(
                f"{where} is not a comma-separated list of base64 keys of {KEY_BYTES} bytes: number {number} is none. "
                f"Correct it ({HOW_TO_MAKE}), but keep the keys that stored provider keys are sealed under."
            )
        keys.append(key)
    return keys


def _sync(folder: Path) -> None:
    """Keep the folder's new entry through a power cut: the rows sealed under the key are kept through one too."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
