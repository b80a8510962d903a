"""The part ``tls`` of sections that say how a system is reached."""

from __future__ import annotations

import msgspec


class TLSFiles(msgspec.Struct, frozen=True, kw_only=True):
    """Whether TLS is spoken, and with what; nothing else counts when it is not."""

    enabled: bool = True
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    verify_ssl: bool = True
