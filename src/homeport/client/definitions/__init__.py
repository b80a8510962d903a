"""Service definitions: files that say what to register, with places for what only the running program knows."""
