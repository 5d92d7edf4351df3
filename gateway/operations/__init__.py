"""What operators see and what runs by itself: health, metrics, logs, upkeep."""
