"""What happens in the business from moment to moment: a module a part of it, a function a kind of event."""
