"""What the folders of OpenRLHF, TRL and verl share."""
