"""py-consul, an unmodified client of Consul, on a Homeport registry."""

import os

import consul  # type: ignore[import-untyped]  # py-consul has no types


def main() -> None:
    host, _, port = os.environ["HOMEPORT_BACKEND"].partition("://")[2].rpartition(":")
    client = consul.Consul(host=host, port=int(port))
    client.agent.service.register("legacy", service_id="legacy-1", address="127.0.0.1", port=9000, tags=["old"])
    index, entries = client.health.service("legacy", passing=True)
    for entry in entries:
        print(f"{entry['Service']['ID']} at {entry['Service']['Address']}:{entry['Service']['Port']}")
    # A blocking query: answered when something changes, or after the wait.
    client.agent.service.register("legacy", service_id="legacy-2", address="127.0.0.1", port=9001)
    _, entries = client.health.service("legacy", passing=True, index=index, wait="5s")
    print(f"{len(entries)} instances")
    for number in (1, 2):
        client.agent.service.deregister(f"legacy-{number}")


if __name__ == "__main__":
    main()
