"""What the platform's campaigns make of messages. Above the ledger, below everything that runs."""
