"""How many events a second of one core takes to live profiles: Kindred's processor beside others, on one machine."""
