"""Addresses as they may be shown and kept: without the user and password that some carry."""

import re

_USER = re.compile(r"(?<=://)[^/?#\s@]+@")


def without_password(text: str) -> str:
    """An address, or a text with addresses in it, without `user:password@`."""
    return _USER.sub("", text)
