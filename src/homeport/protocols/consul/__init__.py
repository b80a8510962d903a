"""Consul's HTTP API (https://developer.hashicorp.com/consul/api-docs), as of release 1.21."""
