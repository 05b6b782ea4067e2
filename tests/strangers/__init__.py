"""Requests that no vendor would send, thrown at the receiver as it runs."""
