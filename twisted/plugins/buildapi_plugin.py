"""Make "twistd buildapi" known; names only, so that listing plugins imports nothing of ours."""

from twisted.application.service import ServiceMaker

buildapi = ServiceMaker(
    "BuildAPI", "buildapi.tap", "The self-serve desk of a Buildbot farm", "buildapi"
)
