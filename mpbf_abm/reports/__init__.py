"""Results as text, Markdown and plain values: what commands print and write."""
