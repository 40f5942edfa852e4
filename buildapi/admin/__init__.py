"""Do what operators ask for: tables, accounts, checks, dead letters, dumps."""
