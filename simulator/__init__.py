"""Plays the vendors' HTTP APIs on loopback, with faults, and counts every accepted send.

Imports nothing of ours but `config`: what it believes of a vendor, it has from the vendor's own papers, so that a
mistake in `providers/` cannot hide behind the same mistake here.
"""
