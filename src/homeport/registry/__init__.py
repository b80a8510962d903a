"""The registry's state: what is durable (`store`), what is asked (`catalog`), and what changes it."""
