"""Where records are kept, and how they are changed: by atomic, conditional, durable transactions.

`contract` says what a store is; `memory` and `sqlite` are stores; `ledger` executes transactions in groups over any
store.
"""
