"""The parts of the simulated shop: its words, its catalogue, its customers, their visits and the events they leave."""
