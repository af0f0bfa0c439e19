"""A transformer over what came when: its model, its fit, its net."""
