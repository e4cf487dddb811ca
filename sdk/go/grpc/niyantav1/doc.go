// Package niyantav1 is Niyanta's gRPC API as the compiler of Protocol Buffers makes it for Go: the same workloads, rules,
// ids and cursors as over REST. All but this page is generated from api/niyanta/v1/workload_service.proto, which has the
// meaning and the bounds of every field; docs/grpc.md has a whole program.
package niyantav1
