"""Decides whether numbers agree."""
