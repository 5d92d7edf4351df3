"""The catalog in use, kept up to date with its files: a bad file changes nothing but the report on it."""

import logging
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from personas.catalog import Catalog, load_catalog
from personas.errors import PersonaFileError, Problem
from personas.loading.sources import ReadFile, stamp

logger = logging.getLogger(__name__)


class Reload(msgspec.Struct, frozen=True, kw_only=True):
    """How the latest attempt to load the files went.

    `loaded_at` and `digest` are those of the catalog in use, which is an older one where `ok` is false. All that it
    holds stays in use then, not only what the mistakes did not touch.
    """

    ok: bool
    attempted_at: datetime
    loaded_at: datetime
    digest: str
    errors: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()


class LiveCatalog:
    """Holds the last good catalog. Read `current` once a request: it is swapped as a whole."""

    def __init__(self, path: str | Path) -> None:
        """Loads the file. Raises PersonaFileError: without one good catalog there is nothing to serve."""
        self.path = path
        self.current: Catalog = load_catalog(path)
        self._files: Mapping[str, ReadFile] = self.current.files
        self._one_at_a_time = threading.Lock()
        now = datetime.now(UTC)
        self.latest = Reload(
            ok=True, attempted_at=now, loaded_at=now, digest=self.current.digest, warnings=self.current.warnings
        )

    def reload(self) -> Reload:
        """Loads the files again and takes their catalog into use if they are good. Blocks; safe from any thread."""
        with self._one_at_a_time:
            now = datetime.now(UTC)
            try:
                catalog = load_catalog(self.path)
            except PersonaFileError as error:
                self._files = error.files
                self.latest = msgspec.structs.replace(self.latest, ok=False, attempted_at=now, errors=error.problems)
                logger.error("%s has mistakes, and the last good state stays in use:\n%s", self.path, error)
                return self.latest
            self._files = catalog.files
            if not self.latest.ok:
                logger.info("%s is good again", self.path)
            loaded_at = self.latest.loaded_at
            if catalog.digest != self.current.digest:
                loaded_at = now
                logger.info("%s loaded: %d personas, digest %s", self.path, len(catalog.personas), catalog.digest)
            self.current = catalog
            self.latest = Reload(
                ok=True, attempted_at=now, loaded_at=loaded_at, digest=catalog.digest, warnings=catalog.warnings
            )
            return self.latest

    def changed(self) -> bool:
        """Whether a file differs from what the latest attempt saw, those included that it did not find."""
        return any(stamp(file) != seen.stamp for file, seen in self._files.items())
