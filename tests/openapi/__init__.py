"""The whole document against a service that runs: whatever it says has to be so."""
