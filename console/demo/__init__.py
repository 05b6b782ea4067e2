"""The demo: a real load through the real fleet against simulated vendors, and the account of it.

`load` makes the rows, `faults` the trouble, `figures` compares the ledger with what the vendors counted, `watch` shows
it live.
"""
