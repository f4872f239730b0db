"""Drawn portraits with known parameters: one file per thing that is drawn; portraits.py puts them together."""
