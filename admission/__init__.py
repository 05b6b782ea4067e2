"""What may go out now, and under whose credentials. Above the ledger and the vendors, below everything that runs."""
