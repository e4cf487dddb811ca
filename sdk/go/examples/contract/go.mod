module example.com/contract

go 1.23

require github.com/yourusername/niyanta-go-sdk v0.0.0

require github.com/coder/websocket v1.8.15 // indirect

// The example imports the SDK by a placeholder.
replace github.com/yourusername/niyanta-go-sdk => ../..
