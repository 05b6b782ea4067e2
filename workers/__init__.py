"""The sending processes: the only place where a provider meets the ledger."""
