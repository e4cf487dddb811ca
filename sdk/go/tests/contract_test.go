package tests

import (
	"regexp"
	"slices"
	"testing"
)

// TestTheContractsExample runs examples/contract, which is the contract's example word for word.
func TestTheContractsExample(t *testing.T) {
	t.Parallel()
	program := build(t, "../examples/contract", ".")
	environment, objects := s3(t)
	d := startDev(t, environment)
	printed := d.run(program)
	found := regexp.MustCompile(`^Result: map\[.*output_url:s3://([^\s\]]+).*\]\n$`).FindStringSubmatch(printed)
	if found == nil {
		t.Fatalf("it printed %q", printed)
	}
	if !slices.Contains(objects(), found[1]) {
		t.Errorf("there is no s3://%s", found[1])
	}
	t.Log(printed)
}
