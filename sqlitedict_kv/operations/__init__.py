"""Preparing a call and finishing it, for every face of a store."""
