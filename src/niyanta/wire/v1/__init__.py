"""What `make generate` makes of the files in ``api/niyanta/v1``; not edited by hand."""
