package tests

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// programs are the whole programs in Go that a document prints.
func programs(t *testing.T, document string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root(), document))
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, block := range regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		if strings.HasPrefix(block[1], "package main\n") {
			found = append(found, block[1])
		}
	}
	if len(found) == 0 {
		t.Fatalf("%s prints no program in Go", document)
	}
	return found
}

// compiled builds a program with the dependencies of this module.
func compiled(t *testing.T, program string) string {
	t.Helper()
	source := filepath.Join(t.TempDir(), "main.go")
	if err := os.WriteFile(source, []byte(program), 0o600); err != nil {
		t.Fatal(err)
	}
	return build(t, ".", source)
}

// grpcProgram runs the program of docs/grpc.md.
func grpcProgram(t *testing.T, d *dev) {
	program := compiled(t, programs(t, "docs/grpc.md")[0])
	printed := d.run(t, program, "NIYANTA_GRPC_TARGET="+d.credentials.GRPCTarget, "NIYANTA_API_KEY="+d.credentials.APIKey)
	if !strings.HasSuffix(strings.TrimSpace(printed), "WORKLOAD_STATUS_COMPLETED 100") {
		t.Errorf("it printed %q", printed)
	}
}
