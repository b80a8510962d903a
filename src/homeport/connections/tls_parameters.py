"""The parameters of a backend URL that say whether and how TLS is spoken."""

from __future__ import annotations

from collections.abc import Mapping

from homeport.errors import SettingsError

from .backend_url import BackendURL, truth
from .tls import TLS

_FILES_AND_NAME = ("ca_file", "ca_path", "cert_file", "key_file", "server_name")


def speaks_tls(url: BackendURL) -> bool | None:
    """Whether the URL asks for TLS, by ``scheme`` or by what only TLS needs; None if it does not say.

    Raises:
        SettingsError: it says both, or what is no scheme.
    """
    scheme = url.parameters.get("scheme")
    if scheme not in (None, "http", "https"):
        raise SettingsError(f'{url}: scheme is "{scheme}"; give http or https')
    asked = [name for name in _FILES_AND_NAME if url.parameters.get(name)]
    if scheme == "http" and asked:
        raise SettingsError(f"{url}: {asked[0]} is given, but scheme=http speaks no TLS; leave one of them out")
    return scheme == "https" if scheme is not None else bool(asked) or None


def tls_of(url: BackendURL, options: Mapping[str, str]) -> TLS:
    """TLS after ``options``, which are the parameters of the URL and whatever else may stand for one.

    Raises:
        SettingsError: ``verify`` is neither true nor false.
    """
    verify = options.get("verify")
    return TLS(
        **{name: options.get(name, "") for name in _FILES_AND_NAME},
        verify=True if verify is None else truth(verify, place=f"{url}: verify"),
    )
