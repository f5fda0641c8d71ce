"""Connections to servers, one or a cluster of them."""
