"""DNS zones of one's own, served from any backend."""
