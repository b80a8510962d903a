"""How checks are executed: one kind a file, behind one `Prober`, and how they reach their targets."""
