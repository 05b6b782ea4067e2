"""Every door for people and programs: commands, health, metrics. No logic of its own: the ledger has it."""
