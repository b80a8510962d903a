"""How the outside asks in DNS (RFC 1035): zones whose names are services."""
