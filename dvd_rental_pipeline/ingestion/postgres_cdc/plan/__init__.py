"""What a sync has to do: the source's tables beside what is stored of them, and which need a full copy."""
