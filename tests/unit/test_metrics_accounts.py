"""The series of an account: they exist from its start, and are removed when it leaves."""

from __future__ import annotations

from prometheus_client import REGISTRY

from bridge.accounts import digest_of
from bridge.observability import metrics


def labelled(account: str) -> set[str]:
    """The names of the metrics that have a sample of the account."""
    return {
        family.name for family in REGISTRY.collect() for one in family.samples if one.labels.get("account") == account
    }


def of_accounts() -> set[str]:
    """The names of all metrics with the label `account`, in the module's source."""
    found = [one for one in vars(metrics).values() if getattr(one, "_labelnames", ())[:1] == ("account",)]
    for one in found:
        one.labels("leaver", *["x"] * (len(one._labelnames) - 1))
    return {one._name for one in found}


def test_an_account_that_leaves_takes_all_its_series() -> None:
    """No metric with the label `account` is forgotten, and other accounts keep theirs."""
    metrics.start_account("leaver", ["topic"])
    metrics.start_account("stayer", ["topic"])
    names = of_accounts()
    assert labelled("leaver") == names
    kept = labelled("stayer")
    metrics.remove_account("leaver")
    assert labelled("leaver") == set()
    assert labelled("stayer") == kept != set()
    metrics.remove_account("stayer")


def test_the_digest_tells_different_accounts_apart() -> None:
    """The number depends on the names alone, and fits into a metric's value exactly."""
    assert digest_of(["a", "b"]) == digest_of(["a", "b"]) != digest_of(["a", "c"])
    assert int(float(digest_of(["a", "b"]))) == digest_of(["a", "b"]) < 2**48
