"""The channel for ``grpc.aio``."""
