"""Brings a database to the schema that the fleet needs, also a live one that has served others for years."""
