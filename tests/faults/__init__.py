"""Campaigns of faults: what the library promises to survive, tried until it should have broken."""
