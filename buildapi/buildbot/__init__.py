"""Talk to real Buildbot masters and their databases, in the dialects of their versions."""
