"""Sources: the services of other systems, mirrored into the catalog and kept current."""
