"""Troubles of the proxy that last: which requests are refused, how, and that each is counted."""

from __future__ import annotations

import requests
from mlflow_proxy import Proxy, Refusing, a_share, each_nth, rate_limit, refusing_log_batch

LOG_BATCH = "/api/2.0/mlflow/runs/log-batch"


def refused(proxy: Proxy, trouble: Refusing, times: int, path: str = "/health") -> list[int]:
    """The numbers of the requests that were refused."""
    proxy.trouble = trouble
    found = [
        number
        for number in range(1, times + 1)
        if requests.get(proxy.url + path, timeout=10).status_code in (400, 429, 503)
    ]
    assert trouble.refused == len(found)
    return found


def test_each_nth_request_is_refused(proxy: Proxy) -> None:
    assert refused(proxy, each_nth(3), 10) == [3, 6, 9]


def test_a_share_is_the_same_for_the_same_seed(proxy: Proxy) -> None:
    first = refused(proxy, a_share(0.25, seed=1), 40)
    assert 4 <= len(first) <= 16
    assert refused(proxy, a_share(0.25, seed=1), 40) == first
    assert refused(proxy, a_share(0.25, seed=2), 40) != first


def test_a_rate_limit_opens_again(proxy: Proxy) -> None:
    limit = rate_limit(requests=3, seconds=1000, retry_after=7)
    assert refused(proxy, limit, 5) == [4, 5]
    assert requests.get(f"{proxy.url}/health", timeout=10).headers["Retry-After"] == "7"
    assert refused(proxy, rate_limit(requests=1, seconds=0, retry_after=1), 5) == []


def test_log_batch_is_refused_in_words_of_the_server(proxy: Proxy) -> None:
    proxy.trouble = refusing_log_batch(1, seed=1)
    answer = requests.post(proxy.url + LOG_BATCH, timeout=10)
    assert answer.status_code == 400
    assert answer.json()["error_code"] == "BAD_REQUEST"
    assert answer.json()["message"].startswith("QueuePool limit of size 5 overflow 10 reached")
    assert requests.get(f"{proxy.url}/health", timeout=10).ok
    assert proxy.trouble.refused == 1
