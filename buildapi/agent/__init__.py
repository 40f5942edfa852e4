"""Consume job requests, act, report back."""
