"""A gRPC server that registers itself under a free port. Start several, and `grpc_client.py`; end one, and see."""

import asyncio

import grpc
import grpc.aio

from homeport import Discovery


async def main() -> None:
    server = grpc.aio.server()
    port = server.add_insecure_port("127.0.0.1:0")

    async def greet(name: bytes, _context: object) -> bytes:
        return b"hello " + name + f" from port {port}".encode()

    # What generated code does in `add_GreeterServicer_to_server`.
    greet_method = grpc.unary_unary_rpc_method_handler(greet, bytes, bytes)
    service = grpc.method_handlers_generic_handler("demo.Greeter", {"Greet": greet_method})
    server.add_generic_rpc_handlers((service,))
    await server.start()
    async with Discovery() as discovery, discovery.register("greeter", address="127.0.0.1", port=port):
        print(f"greeter at port {port}", flush=True)
        await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(main())
