"""From a snapshot to what a page says: texts, figures, tones. Pure; nothing here knows of a browser."""
