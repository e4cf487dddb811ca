module github.com/niyanta/niyanta-go-sdk/tests

go 1.26.0

require (
	github.com/niyanta/niyanta-go-sdk v0.0.0
	github.com/niyanta/niyanta-go-sdk/grpc v0.0.0
	go.yaml.in/yaml/v3 v3.0.4
	google.golang.org/genproto/googleapis/rpc v0.0.0-20260817212433-ac3dfec99bb1
	google.golang.org/grpc v1.85.0
	google.golang.org/protobuf v1.36.12
)

require (
	github.com/coder/websocket v1.8.15 // indirect
	golang.org/x/net v0.62.0 // indirect
	golang.org/x/sys v0.50.0 // indirect
	golang.org/x/text v0.44.0 // indirect
)

replace (
	github.com/niyanta/niyanta-go-sdk => ..
	github.com/niyanta/niyanta-go-sdk/grpc => ../grpc
)
