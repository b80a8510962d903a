"""TLS towards a server: whom to trust, and who we are."""

from __future__ import annotations

import ssl

import msgspec

from homeport.errors import SettingsError


class TLS(msgspec.Struct, frozen=True, kw_only=True):
    """How to speak TLS. Paths are PEM files; without ``ca_file`` and ``ca_path`` the system's own CAs are trusted.

    ``verify`` False accepts any certificate. ``server_name`` is the name that the certificate must carry, when it is
    not the host.
    """

    ca_file: str = ""
    ca_path: str = ""
    cert_file: str = ""
    key_file: str = ""
    verify: bool = True
    server_name: str = ""

    def context(self) -> ssl.SSLContext:
        """An SSL context after these settings. Reads files: call it outside the event loop.

        Raises:
            SettingsError: a file is missing or is not what it should be; the message names it.
        """
        try:
            context = ssl.create_default_context(cafile=self.ca_file or None, capath=self.ca_path or None)
        except (OSError, ValueError) as error:
            raise SettingsError(
                f"the CA certificates in {self.ca_file or self.ca_path} cannot be used: {reason_of(error)}"
            ) from error
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if not self.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self.cert_file:
            try:
                context.load_cert_chain(self.cert_file, self.key_file or None, password=refuse_password)
            except (OSError, ValueError) as error:
                files = " and ".join(filter(None, (self.cert_file, self.key_file)))
                advice = "" if self.key_file else "; give key_file too, unless the key stands in the same file"
                raise SettingsError(
                    f"the client certificate in {files} cannot be used: {reason_of(error)}{advice}"
                ) from error
        elif self.key_file:
            raise SettingsError(f"the client key {self.key_file} is given without a certificate; give cert_file too")
        return context


def refuse_password() -> str:
    """Refuse an encrypted key at once; without this OpenSSL would ask at the terminal and block."""
    raise ValueError("the key is encrypted with a password, which is not supported")


def reason_of(error: OSError | ValueError) -> str:
    """Why certificates or a key cannot be used, in a few words; ``error`` is what `ssl` raised when it loaded them."""
    if isinstance(error, ssl.SSLError):
        return (error.reason or "it is not a PEM file").replace("_", " ").lower()
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error)
