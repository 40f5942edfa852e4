"""Run BuildAPI with "twistd -y buildapi.tac"; the configuration is named by BUILDAPI_CONFIG."""

from twisted.application.service import Application

from buildapi.tap import from_file

# twistd -y looks for a variable of this name.
application = Application("buildapi")
from_file().setServiceParent(application)
