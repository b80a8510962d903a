"""How to reach a system: addresses, failover, TLS, credentials that rotate. Nothing here knows what is said there."""
