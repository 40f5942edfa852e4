"""Run BuildAPI with "twistd -y buildapi.tac"; the configuration is named by BUILDAPI_CONFIG."""

from twisted.application.service import Application

from buildapi.tap import from_file

application = Application("buildapi")
from_file().setServiceParent(application)
