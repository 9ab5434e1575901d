"""The model: materials, records, agents, layers, stocks and events, and the ecosystem that steps through its phases."""
