"""Figures that are quoted, and the commands that print them."""
