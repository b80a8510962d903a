"""Checks that the operator's file gives every instance of a service."""
