"""Which hosts a judge may answer at, and which of them get the key.

Settings come from a form in a browser, so an address in them may be anybody's. Where texts and
keys may go is for whoever runs the server to say, in its environment.
"""

import os
from collections.abc import Mapping

import httpx2

from tasks.core.errors import CookbookError

OPENAI = "https://api.openai.com/v1"
ADDRESS_VARIABLE = "OPENAI_BASE_URL"
HOSTS_VARIABLE = "COOKBOOK_JUDGE_HOSTS"
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}


def host_of(base_url: str) -> str:
    """The host as the client that connects reads it.

    Raises:
        CookbookError: it is no address of a web server.
    """
    try:
        url = httpx2.URL(base_url)
    except (httpx2.InvalidURL, TypeError):
        url = httpx2.URL()
    if url.scheme not in {"http", "https"} or not url.host:
        raise CookbookError(
            f"Expected a judge's address such as {OPENAI}, but came {base_url!r}; mend base_url."
        )
    return url.host.lower()


def is_loopback(base_url: str) -> bool:
    """Whether the address is this machine's own."""
    return host_of(base_url) in _LOOPBACK


def gets_key(base_url: str, environment: Mapping[str, str] = os.environ) -> bool:
    """Whether the key goes along: to OpenAI and to hosts that the environment names, no others.

    A server of this machine that is not named is asked without it.

    Raises:
        CookbookError: the host is not to be asked at all, with a key or without.
    """
    host = host_of(base_url)
    if base_url.startswith("https:") and host == host_of(OPENAI):
        return True
    if host in _named_hosts(environment):
        return True
    if host in _LOOPBACK:
        return False
    raise CookbookError(
        f"A judge may answer at OpenAI's own address, on this machine, or at a host that whoever "
        f"runs this names in the environment; base_url names {host!r}. If texts and the key may "
        f"go there, set {HOSTS_VARIABLE}={host} (several by commas) and start again."
    )


def _named_hosts(environment: Mapping[str, str]) -> set[str]:
    """Hosts that stand in the environment, which is the machine owner's and no form's."""
    named = {part.strip().lower() for part in environment.get(HOSTS_VARIABLE, "").split(",")}
    address = environment.get(ADDRESS_VARIABLE, "").strip()
    return (named | {host_of(address)} if address else named) - {""}
