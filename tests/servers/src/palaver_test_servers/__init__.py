"""Real servers for tests: started on free ports of 127.0.0.1, in temporary folders, and always stopped."""

from palaver_test_servers.server import Server, ServerMissingError, free_port

__all__ = ("Server", "ServerMissingError", "free_port")
