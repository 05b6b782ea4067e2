"""Chaos: a whole fleet under load while everything that it stands on is killed, stopped, wiped and restarted.

`python -m tests.chaos --seed 1` prints what was done and what came of it, and ends 1 where a message was lost, sent
twice, or left unknown. The judge is the simulator's own count of what it accepted.
"""
