"""Where checks may connect to: networks that are allowed or denied, by address, after names have been looked up."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence

from homeport.errors import SettingsError

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class TargetRefused(OSError):
    """A check would connect to where the settings do not let it; the message names the address and the setting."""


class Targets:
    """The allowed and the denied networks; a denial wins. Without any allowed network everything is that is not denied.

    Raises:
        SettingsError: one of the texts is no network.
    """

    def __init__(self, *, allow: Iterable[str] = (), deny: Iterable[str] = ()) -> None:
        self._allowed = [_network(text, "allow_targets") for text in allow]
        self._denied = [_network(text, "deny_targets") for text in deny]
        self.unrestricted = not (self._allowed or self._denied)
        """Whether there is nothing to look at."""

    def check(self, address: str) -> None:
        """Accept an IP address or raise `TargetRefused`. An IPv6 address that stands for an IPv4 one counts as that."""
        if self.unrestricted:
            return
        parsed: ipaddress.IPv4Address | ipaddress.IPv6Address = ipaddress.ip_address(address.partition("%")[0])
        if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
            parsed = parsed.ipv4_mapped
        for network in self._denied:
            if parsed in network:
                raise TargetRefused(f"checks may not connect to {address}: health.deny_targets has {network}")
        if self._allowed and not any(parsed in network for network in self._allowed):
            raise TargetRefused(
                f"checks may not connect to {address}: it is in none of the networks of health.allow_targets"
            )

    def permitted(self, addresses: Sequence[str]) -> Sequence[str]:
        """Those of the addresses that are accepted; raises `TargetRefused` when none is."""
        if self.unrestricted:
            return addresses
        accepted: list[str] = []
        refused: TargetRefused | None = None
        for address in addresses:
            try:
                self.check(address)
            except TargetRefused as error:
                refused = error
            else:
                accepted.append(address)
        if not accepted and refused is not None:
            raise refused
        return accepted


def _network(text: str, setting: str) -> Network:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise SettingsError(
            f'health.{setting}: "{text}" is not a network; write it as 10.0.0.0/8 or 2001:db8::/32'
        ) from None
