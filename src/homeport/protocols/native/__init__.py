"""What this registry offers beyond Consul's API, under ``/v1/homeport/``; ``/v1/homeport/capabilities`` tells of it."""
