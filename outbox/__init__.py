"""The ledger: what was promised, what was tried, and what became of it.

Owns every statement that changes a message. Refuses the network: nothing here speaks to a vendor or to Redis.
"""
