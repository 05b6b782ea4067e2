"""Loops that look at the clock: what is due, whose lease ran out. Never meets a provider; enqueues by actor name."""
