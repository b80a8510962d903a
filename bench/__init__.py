"""What Homeport costs, measured beside a real, durable Consul in one run: `make bench`."""
