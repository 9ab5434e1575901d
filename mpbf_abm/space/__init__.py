"""State without agents: materials, records, links, published models."""
