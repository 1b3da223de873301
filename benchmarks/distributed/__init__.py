"""Distributed applications on nodes that are OS processes of their own: failover, takeover, boot."""
