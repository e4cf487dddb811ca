// Package tests holds the Go SDK against the rest of the project: the OpenAPI document, the guides, and a real service.
// It is a module of its own, so that what it needs isn't needed by those who use the SDK.
package tests

// What the programs of the guides import, so that go.mod has it.
import (
	_ "github.com/niyanta/niyanta-go-sdk/grpc/niyantav1"
	_ "google.golang.org/genproto/googleapis/rpc/errdetails"
	_ "google.golang.org/grpc"
	_ "google.golang.org/protobuf/types/known/structpb"
)
