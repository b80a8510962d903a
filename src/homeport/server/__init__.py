"""The registry server: composition of store, catalog, health and protocols, and the listeners they are reached by."""
