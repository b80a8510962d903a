"""Where checks may connect to."""

from __future__ import annotations

import pytest

from homeport.errors import SettingsError
from homeport.registry.health.kinds.targets import TargetRefused, Targets


def accepts(targets: Targets, address: str) -> bool:
    try:
        targets.check(address)
    except TargetRefused:
        return False
    return True


def test_without_networks_everything_is_accepted() -> None:
    assert accepts(Targets(), "169.254.169.254")


def test_a_denied_network_is_refused_and_named() -> None:
    targets = Targets(deny=["169.254.0.0/16", "fe80::/10"])
    with pytest.raises(TargetRefused, match=r"169\.254\.169\.254: health\.deny_targets has 169\.254\.0\.0/16"):
        targets.check("169.254.169.254")
    assert not accepts(targets, "fe80::1%eth0")
    assert accepts(targets, "10.0.0.1")


def test_with_allowed_networks_all_others_are_refused() -> None:
    targets = Targets(allow=["10.0.0.0/8", "::1"])
    assert accepts(targets, "10.1.2.3")
    assert accepts(targets, "::1")
    with pytest.raises(TargetRefused, match=r"health\.allow_targets"):
        targets.check("11.0.0.1")


def test_a_denial_wins() -> None:
    targets = Targets(allow=["10.0.0.0/8"], deny=["10.9.0.0/16"])
    assert accepts(targets, "10.8.0.1")
    assert not accepts(targets, "10.9.0.1")


def test_an_ipv4_address_in_ipv6_form_is_still_that_address() -> None:
    assert not accepts(Targets(deny=["127.0.0.0/8"]), "::ffff:127.0.0.1")


def test_of_several_addresses_the_accepted_ones_remain() -> None:
    targets = Targets(deny=["127.0.0.0/8"])
    assert targets.permitted(["127.0.0.1", "10.0.0.1"]) == ["10.0.0.1"]
    with pytest.raises(TargetRefused):
        targets.permitted(["127.0.0.1"])


def test_a_text_that_is_no_network_is_refused_at_once() -> None:
    with pytest.raises(SettingsError, match=r'health\.deny_targets: "10\.0/8"'):
        Targets(deny=["10.0/8"])
