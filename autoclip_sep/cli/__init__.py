"""The commands: compose a config, build what it names, run a job. Only this room knows Hydra."""
