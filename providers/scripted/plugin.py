"""The pytest plugin: a fixture `scripted_upstream` in every test suite where this package is installed.

Nothing of the project is imported before a test asks for the fixture, so that a test run starts as fast as ever and
measures the coverage of what it imports.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from providers.scripted.server import ScriptedUpstream


@pytest.fixture
def scripted_upstream() -> Iterator["ScriptedUpstream"]:
    """A model provider on loopback that plays what the test enqueues, on either wire."""
    from providers.scripted.server import ScriptedUpstream  # see above

    with ScriptedUpstream() as upstream:
        yield upstream
