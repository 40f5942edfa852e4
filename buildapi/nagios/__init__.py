"""The plugin ``check_buildapi`` for Nagios, Icinga and other users of Monitoring Plugins.

It needs the standard library and nagiosplugin only, and reads from the service over HTTP only.
"""
