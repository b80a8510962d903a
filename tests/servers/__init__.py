"""Real servers for tests: installed without root, started on free loopback ports, and never left behind."""
