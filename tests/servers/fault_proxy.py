"""The fault proxy that is shipped to users, where the tests look for it."""

from homeport.testing.fault_proxy import FaultProxy

__all__ = ["FaultProxy"]
