"""Whether a server can be reached at all, which the SDK does not tell from a server that is busy."""

from __future__ import annotations

import socket
import ssl
from http.client import HTTPException
from urllib.error import HTTPError, URLError
from urllib.request import urlopen


def why_unreachable(url: str, timeout: float) -> str | None:
    """Return why no HTTP answer comes from `url` within `timeout` seconds; None if one comes, whatever it says.

    Proxies that the environment names are used, as the SDK uses them.
    """
    try:
        urlopen(url, timeout=timeout).close()
    except HTTPError:
        return None
    except URLError as error:
        return _in_words(error.reason)
    except (OSError, HTTPException) as error:
        return _in_words(error)
    return None


def _in_words(reason: object) -> str:
    match reason:
        case socket.gaierror():
            return "has a host name that can't be resolved"
        case ConnectionRefusedError():
            return "refuses connections"
        case TimeoutError():
            return "did not answer in time"
        case ssl.SSLError():
            return f"can't be reached over TLS ({reason.reason or reason})"
        case _:
            return f"can't be reached ({reason or type(reason).__name__})"
