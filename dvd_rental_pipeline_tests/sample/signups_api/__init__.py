"""Tests of the local server of the API of new users."""
