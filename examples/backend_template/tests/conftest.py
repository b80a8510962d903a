"""What the tests share."""

pytest_plugins = ["homeport.testing.fixtures"]
