"""What to show: pure functions of (state, history, request), with no HTTP and no BentoML in them."""
