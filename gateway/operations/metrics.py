"""What operators can measure: Prometheus metrics of this process, with a closed vocabulary of labels."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from storage.turns.rows import TurnRecord

SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60, 120, 300)


class Metrics:
    """The metrics of one gateway. Models and personas are labels because operators declare them; people never are."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "gateway_requests", "Requests by route and status.", ("method", "route", "status"), registry=self.registry
        )
        self.turns = Counter(
            "gateway_turns", "Turns by how they ended.", ("persona", "model", "state"), registry=self.registry
        )
        self.first_content = Histogram(
            "gateway_first_content_seconds",
            "From asking the provider to the first text of the reply.",
            ("model",),
            buckets=SECONDS,
            registry=self.registry,
        )
        self.turn_seconds = Histogram(
            "gateway_turn_seconds",
            "From a turn's beginning to its end.",
            ("model",),
            buckets=SECONDS,
            registry=self.registry,
        )
        self.overhead = Histogram(
            "gateway_overhead_seconds",
            "From the request of a streamed turn to its first event, when the provider is being asked.",
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1),
            registry=self.registry,
        )
        self.tokens = Counter(
            "gateway_tokens", "Tokens by model and direction.", ("model", "direction"), registry=self.registry
        )
        self.running = Gauge("gateway_running_turns", "Turns that run in this process.", registry=self.registry)
        self.personas_loaded = Gauge(
            "gateway_personas_reload_success",
            "Whether the personas file was good at the last look.",
            registry=self.registry,
        )

    def note_turn(self, turn: TurnRecord) -> None:
        """Count a turn that ended."""
        self.turns.labels(turn.persona, turn.model, turn.state).inc()
        if turn.first_content_ms is not None:
            self.first_content.labels(turn.model).observe(turn.first_content_ms / 1000)
        if turn.ended_at is not None:
            self.turn_seconds.labels(turn.model).observe((turn.ended_at - turn.started_at).total_seconds())
        if turn.usage is not None:
            self.tokens.labels(turn.model, "input").inc(turn.usage.input_tokens)
            self.tokens.labels(turn.model, "output").inc(turn.usage.output_tokens)
