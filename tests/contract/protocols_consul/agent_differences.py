"""How the agent's own answers may differ from those of Consul 1.8.7; see `differential.KNOWN`."""

from typing import Final

from tests.contract.protocols_consul.differential import ABSENT, Allowed

SERVICE: Final = (Allowed(r"body.*\.Datacenter", "services of the agent tell it since 1.10", ABSENT, "dc1"),)
HASHED: Final = (
    *SERVICE,
    Allowed(r"body\.ContentHash", "computed over two fields more: SocketPath since 1.10, PeerName since 1.14"),
    Allowed("header X-Consul-Contenthash", "as the one in the body"),
)
HEALTH: Final = (
    *SERVICE,
    Allowed(r"body.*\.ServiceTags", "1.8 left them out here", None),
    Allowed(r"body.*\.ExposedPort", "since 1.9", ABSENT, 0),
    Allowed(r"body.*\.Definition\.(TLSServerName|UDP|GRPC|OSService)", "checks have it since", ABSENT, ""),
    Allowed(r"body.*\.Definition\.(TCPUseTLS|GRPCUseTLS)", "checks have it since", ABSENT, False),
)
