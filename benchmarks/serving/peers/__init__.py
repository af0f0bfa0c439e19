"""Services that people would otherwise build; each runs in a process, some in an environment of their own."""
