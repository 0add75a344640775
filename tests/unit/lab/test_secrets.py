from __future__ import annotations

import base64

import pytest

from tests.lab.steps.secrets import encodings, key_bodies

KEY = """-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg
7fQ2mFf0Z1
-----END PRIVATE KEY-----
"""
CERTIFICATE = KEY.replace("PRIVATE KEY", "CERTIFICATE")


@pytest.mark.parametrize("user", ["admin", "ingest", "reader", "rollups", "x"])
def test_a_password_in_a_basic_login_is_found_whoever_the_user_is(user: str) -> None:
    header = base64.b64encode(f"{user}:correct-horse-battery".encode()).decode()
    assert any(text in header for text in encodings("correct-horse-battery"))


def test_another_password_is_not_found() -> None:
    header = base64.b64encode(b"reader:some-other-password").decode()
    assert not any(text in header for text in encodings("correct-horse-battery"))


def test_only_the_bodies_of_private_keys_are_looked_for() -> None:
    assert key_bodies(CERTIFICATE + KEY) == ["MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg"]
