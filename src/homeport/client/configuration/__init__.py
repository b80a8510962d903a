"""What the settings file and the environment say to a program that finds and registers services."""
