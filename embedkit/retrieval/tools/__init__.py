"""A collection as tools of language models: what can be asked, and the protocol (MCP) in which they ask."""
