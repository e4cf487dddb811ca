package main

import stdfmt "fmt"

// printer has what the example calls of fmt, which it doesn't import.
type printer struct{}

func (printer) Println(values ...any) { stdfmt.Println(values...) }

var fmt printer
