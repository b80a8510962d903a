"""The channel for ``grpc`` without an event loop."""
