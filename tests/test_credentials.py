from __future__ import annotations

import pickle
from base64 import b64decode

import pytest

from syncer.credentials import Credentials, Secret


def test_a_secret_shows_itself_nowhere() -> None:
    secret = Secret("hunter2")
    shown = [
        repr(secret),
        str(secret),
        f"{secret}",
        f"{secret!r:>40}",
        repr(Credentials("AC0", secret)),
        repr([secret]),
    ]
    assert not any("hunter2" in text for text in shown)
    with pytest.raises(TypeError, match="a secret is not pickled"):
        pickle.dumps(secret)
    assert secret.reveal() == "hunter2"


def test_secrets_are_compared_by_value() -> None:
    assert Secret("a") == Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a"), Secret("b")}) == 2


def test_the_basic_header_is_that_of_rfc_7617_in_utf_8() -> None:
    # The RFC's own examples: section 2, and section 2.1 with a pound sign.
    assert Credentials("Aladdin", Secret("open sesame")).basic_header() == "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
    header = Credentials("test", Secret("123\u00a3")).basic_header()
    assert header == "Basic dGVzdDoxMjPCow=="
    assert b64decode(header.removeprefix("Basic ")) == "test:123\u00a3".encode()
