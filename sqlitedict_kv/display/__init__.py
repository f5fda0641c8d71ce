"""Rendering for people: figures, short texts of values, and tables in HTML; it knows no store."""
