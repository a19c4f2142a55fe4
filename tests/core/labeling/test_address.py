"""A form in a browser names an address; the environment alone says where texts and keys may go."""

import pytest

from tasks.core.errors import CookbookError
from tasks.core.labeling.address import gets_key, host_of, is_loopback

NAMED = {"COOKBOOK_JUDGE_HOSTS": "vllm.internal, Proxy.Example"}


@pytest.mark.parametrize(
    "address",
    [
        "https://evil.example/v1",
        "http://api.openai.com/v1",  # in clear
        "https://api.openai.com.evil.example/v1",
        "https://api.openai.com@evil.example/v1",
        "https://api.openai.com:443@evil.example/v1",
        "https://api.openai.com%2eevil.example/v1",
        "https://evil.example/?https://api.openai.com/v1",
        "https://evil.example#api.openai.com",
        "http://169.254.169.254/v1",
        "http://127.0.0.1.evil.example/v1",
    ],
)
def test_a_host_that_nobody_named_is_not_asked_at_all(address: str) -> None:
    with pytest.raises(CookbookError, match="COOKBOOK_JUDGE_HOSTS"):
        gets_key(address, {})


@pytest.mark.parametrize(
    "address", ["", "api.openai.com/v1", "file:///etc/passwd", "https://", "x"]
)
def test_what_is_no_address_is_said_to_be_none(address: str) -> None:
    with pytest.raises(CookbookError, match="judge's address"):
        gets_key(address, NAMED)


def test_openai_gets_the_key_without_a_word() -> None:
    assert gets_key("https://api.openai.com/v1", {})


@pytest.mark.parametrize("address", ["http://vllm.internal:8000/v1", "https://proxy.example/v1"])
def test_a_named_host_gets_the_key(address: str) -> None:
    assert gets_key(address, NAMED)


def test_the_host_of_the_environments_own_address_gets_the_key() -> None:
    environment = {"OPENAI_BASE_URL": "https://llm.example/v1"}
    assert gets_key("https://llm.example/other", environment)
    assert gets_key("http://127.0.0.1:4000/v1", {"OPENAI_BASE_URL": "http://127.0.0.1:4000/v1"})
    with pytest.raises(CookbookError):
        gets_key("https://other.example/v1", environment)


@pytest.mark.parametrize("address", ["http://127.0.0.1:8000/v1", "http://localhost/v1"])
def test_this_machine_is_asked_without_the_key_unless_it_is_named(address: str) -> None:
    assert not gets_key(address, NAMED)
    assert gets_key(address, {"COOKBOOK_JUDGE_HOSTS": "127.0.0.1,localhost"})
    assert is_loopback(address)


def test_the_host_is_the_one_that_the_client_connects_to() -> None:
    assert host_of("https://Api.OpenAI.com@Evil.Example:8443/v1?x=api.openai.com") == "evil.example"
