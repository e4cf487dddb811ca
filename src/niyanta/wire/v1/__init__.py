"""What `make generate` makes of ``api/niyanta/v1/workload_service.proto``; not edited by hand."""
