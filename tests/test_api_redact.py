"""No token and no secret in any text."""

from __future__ import annotations

from syncer.api.redact import mark, secret_forms, without
from syncer.credentials import Credentials, Secret


def test_a_token_is_named_by_eight_digits_of_its_hash() -> None:
    assert mark("dG9rZW4=") == "4af2fd31"


def test_a_token_that_is_no_utf8_is_named_too() -> None:
    assert mark("\ud800") == "91a681b9"


def test_hidden_values_are_replaced_wherever_they_stand() -> None:
    assert without("token abcd== and abcd==", ["abcd=="]) == "token (hidden) and (hidden)"


def test_a_value_that_is_too_short_to_be_a_secret_stays() -> None:
    assert without("a page", ["a", ""]) == "a page"


def test_the_secret_is_known_in_each_form_in_which_it_travels() -> None:
    forms = secret_forms(Credentials("AC1", Secret("s3/cret+x")))
    assert forms == ("s3/cret+x", "s3%2Fcret%2Bx", "QUMxOnMzL2NyZXQreA==")
