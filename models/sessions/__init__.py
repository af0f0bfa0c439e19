"""Sessions like this one: neighbours and what follows what; nothing trained."""
