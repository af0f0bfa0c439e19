"""Models of customers, not of slates: churn, value, clusters, who is like whom."""
