"""Backends for other libraries on top of a store, a module each, which alone imports that library."""
