package niyanta

import (
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
)

// TestEveryExportedNameIsExplained holds the rule of the house on public names. Constants and variables may share the
// explanation of their group.
func TestEveryExportedNameIsExplained(t *testing.T) {
	files := token.NewFileSet()
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var sources []*ast.File
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		source, err := parser.ParseFile(files, name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		sources = append(sources, source)
	}
	page, err := doc.NewFromFiles(files, sources, "github.com/niyanta/niyanta-go-sdk")
	if err != nil {
		t.Fatal(err)
	}
	explained := func(name, text string) {
		if text == "" {
			t.Errorf("%s has no comment", name)
		}
	}
	values := append(page.Consts, page.Vars...)
	functions := page.Funcs
	for _, kind := range page.Types {
		explained(kind.Name, kind.Doc)
		values = append(append(values, kind.Consts...), kind.Vars...)
		functions = append(append(functions, kind.Funcs...), kind.Methods...)
	}
	for _, value := range values {
		explained(strings.Join(value.Names, ", "), value.Doc)
	}
	for _, function := range functions {
		explained(function.Recv+"."+function.Name, function.Doc)
	}
	if len(page.Types) < 50 || len(functions) < 60 {
		t.Errorf("only %d types and %d functions were found", len(page.Types), len(functions))
	}
}
