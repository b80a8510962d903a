"""Shapes and text forms shared by the two sides of a protocol. Pure: no I/O, no clock, no environment."""
