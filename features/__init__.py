"""What happened, and what follows from it: events, the fold over them, and the two stores that hold the result."""
