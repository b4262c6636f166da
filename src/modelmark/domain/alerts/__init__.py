"""Alerts as people meet them: how much harm they tell of, what to do next, who watches."""
