"""Commands that use the service's configuration, and the databases and queues that it names.

Modules that import Twisted are imported when a command runs.
"""
