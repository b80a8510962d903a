"""The asynchronous client: `Discovery` and what it hands out."""
