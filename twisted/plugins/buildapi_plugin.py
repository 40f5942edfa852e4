"""Make "twistd buildapi" known; names only, so that listing plugins imports nothing of ours."""

from twisted.application.service import ServiceMaker

# There must be no __init__.py in this folder: twisted.plugin.pluginPackagePaths leaves out folders
# that have one.
buildapi = ServiceMaker(
    "BuildAPI", "buildapi.tap", "The self-serve desk of a Buildbot farm", "buildapi"
)
