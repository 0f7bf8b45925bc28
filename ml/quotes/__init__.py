"""The one format of recordings, training history and export, and importers into it."""
