// Package niyantav1 is Niyanta's gRPC API as the compiler of Protocol Buffers makes it for Go: the same workloads, rules,
// ids and cursors as over REST, and the workers for operators. All but this page is generated from the files in
// api/niyanta/v1, which have the meaning and the bounds of every field; docs/grpc.md has a whole program.
package niyantav1
