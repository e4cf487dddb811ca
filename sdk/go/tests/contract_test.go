package tests

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestPrograms runs what people copy, as they would: in the folder of a `niyanta dev` that serves the bundled examples.
func TestPrograms(t *testing.T) {
	t.Parallel()
	environment, objects := s3(t)
	// Workers of the examples open only what their operator allows.
	d := startDev(t, append(environment, "EXAMPLES_S3=*=s3://input"))
	t.Run("the contract's example", func(t *testing.T) { contractsExample(t, d, objects) })
	t.Run("the quick start", func(t *testing.T) { quickStart(t, d) })
}

// contractsExample runs examples/contract, which is the contract's example word for word.
func contractsExample(t *testing.T, d *dev, objects func() []string) {
	printed := d.run(t, build(t, "../examples/contract", "."))
	found := regexp.MustCompile(`^Result: map\[.*output_url:s3://([^\s\]]+).*\]\n$`).FindStringSubmatch(printed)
	if found == nil {
		t.Fatalf("it printed %q", printed)
	}
	if !slices.Contains(objects(), found[1]) {
		t.Errorf("there is no s3://%s", found[1])
	}
	t.Log(printed)
}

func quickStart(t *testing.T, d *dev) {
	printed := d.run(t, compiled(t, programs(t, "sdk/go/README.md")[0]))
	if !strings.Contains(printed, "\nCOMPLETED 100 ") || !strings.Contains(printed, "\nResult: map[") {
		t.Errorf("it printed %q", printed)
	}
	t.Log(printed)
}
