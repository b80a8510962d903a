"""Calls that outlive the failure of an instance: circuit, retries with a budget, hedging, deadlines."""
