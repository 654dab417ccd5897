"""Many brackets: names, manifest, resume, and the run that keeps all cores busy."""
