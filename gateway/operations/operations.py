"""What operators and their machines ask: is it alive, is it ready, how is it doing."""

from typing import Any

import msgspec
from litestar import Request, Response, Router, get
from litestar.di import NamedDependency
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from gateway.accounts.accounts import Client
from gateway.catalog import CurrentCatalog
from gateway.errors import NotPermitted, Unauthenticated, Unavailable
from gateway.identity.guards import PUBLIC
from gateway.identity.principal import Anonymous, Caller
from gateway.operations.metrics import Metrics
from gateway.policy import Permission
from gateway.turns.running import RunningTurns
from providers.provider import Readiness
from providers.registry import Registry
from storage.database import Database
from storage.people.setup import admin_is_made


class Health(msgspec.Struct, frozen=True):
    """Alive."""

    status: str = "ok"


class Ready(msgspec.Struct, frozen=True):
    """Ready for requests. `degraded` says in sentences what does not work as it should."""

    status: str
    degraded: list[str]


@get("/healthz", opt=PUBLIC, sync_to_thread=False)
def health() -> Health:
    """Alive: asks nobody, so that a slow database does not get the process killed."""
    return Health()


@get("/readyz", opt=PUBLIC)
async def ready(
    database: NamedDependency[Database],
    turns: NamedDependency[RunningTurns],
    catalog: NamedDependency[CurrentCatalog],
    providers: NamedDependency[Registry],
) -> Ready:
    """Ready: 503 while it is stopping, or the database does not answer."""
    if turns.draining:
        raise Unavailable("The gateway is stopping.", retry_after=5)
    await database.read(admin_is_made)
    degraded = []
    if not catalog.live.latest.ok:
        degraded.append("The personas file has mistakes; the last good one is in use.")
    for name in catalog.current.providers:
        availability = providers.availability(name)
        if availability.readiness in (Readiness.loading, Readiness.unavailable):
            degraded.append(availability.sentence)
    return Ready("degraded" if degraded else "ok", degraded)


@get("/metrics", media_type=CONTENT_TYPE_LATEST, sync_to_thread=False)
def metrics(request: Request[Caller, Any, Any], metrics: NamedDependency[Metrics]) -> Response[bytes]:
    """Prometheus metrics, for operators and for this machine itself."""
    if not Client.of(request).is_local and not request.user.may(Permission.operations_read):
        if isinstance(request.user, Anonymous):
            raise Unauthenticated("Metrics are for operators, and for requests from this machine itself.")
        raise NotPermitted("Metrics are for operators, and for requests from this machine itself.")
    return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)


router = Router("/", route_handlers=[health, ready, metrics], tags=["operations"])
