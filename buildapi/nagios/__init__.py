"""The plugin ``check_buildapi`` for Nagios, Icinga and whatever runs Monitoring Plugins.

It needs the standard library and nagiosplugin, nothing else, and asks the service by HTTP alone.
"""
