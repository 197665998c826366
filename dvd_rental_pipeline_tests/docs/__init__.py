"""Tests of the documents and of the files for editors."""
