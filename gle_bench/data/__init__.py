"""Fetching, making and checking data."""
