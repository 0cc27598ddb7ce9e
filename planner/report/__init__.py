"""Answers for people: terminal, plain text."""
