"""How a process of the fleet is set up: settings, words everybody must know, and the wiring to the servers.

Owns nothing that a message does; imports nothing of ours, so that every other package may import it.
"""
