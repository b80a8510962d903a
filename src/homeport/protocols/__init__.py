"""How the outside speaks to the registry: one package a protocol.

Each reads the catalog and writes by transactions, nothing else.
"""
