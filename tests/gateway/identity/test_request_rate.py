"""A rate in memory: so many at once, one more after each interval, and nothing kept of who is at rest."""

import pytest

from gateway.errors import TooManyRequests
from gateway.identity import request_rate
from gateway.identity.request_rate import RequestRate


def test_a_rate_refuses_what_is_too_much_and_says_when_to_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    moment = 1000.0
    monkeypatch.setattr(request_rate.time, "monotonic", lambda: moment)
    rate = RequestRate(4, "Too often.")
    for _ in range(4):
        rate.spend("ada")
    for _ in range(2):  # what is refused costs no more
        with pytest.raises(TooManyRequests, match=r"Too often\.") as refused:
            rate.spend("ada")
        assert refused.value.retry_after == pytest.approx(15)
    rate.spend("bob")
    moment += 15
    rate.spend("ada")
    with pytest.raises(TooManyRequests):
        rate.spend("ada")


def test_who_is_at_rest_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    moment = 1000.0
    monkeypatch.setattr(request_rate.time, "monotonic", lambda: moment)
    rate = RequestRate(4, "Too often.")
    for number in range(100):
        rate.spend(str(number))
    moment += 15
    rate.spend("ada")
    assert list(rate._full_at) == ["ada"]
