"""What the hooks of the web frameworks share: when a process serves, on which port, and as what it is registered."""
