"""The vendors: how each is spoken to and what its answers mean. Pure with respect to the database."""
