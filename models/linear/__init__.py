"""Linear filters: items by items, fitted in closed form or by counting."""
