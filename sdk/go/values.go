package niyanta

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"
)

// Object is a JSON object of no fixed form, such as a workload's input or result. Its numbers are [json.Number], so that
// large integers keep every digit. A map[string]any can be assigned to it and the other way round.
type Object map[string]any

// UnmarshalJSON reads an object and leaves its numbers as they are written.
func (o *Object) UnmarshalJSON(data []byte) error {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	var found map[string]any
	if err := decoder.Decode(&found); err != nil {
		return err
	}
	*o = found
	return nil
}

// Decode stores the object in the value that into points to, as [json.Unmarshal] would.
func (o Object) Decode(into any) error {
	data, err := json.Marshal(map[string]any(o))
	if err != nil {
		return err
	}
	return json.Unmarshal(data, into)
}

// Ptr returns a pointer to v, for the optional fields of requests.
func Ptr[T any](v T) *T { return &v }

// Nullable is the value of a field for which null says something else than absence: in an update, null takes
// what was set away, and an absent field leaves it. Made by [Value] and [Null].
type Nullable[T any] struct {
	value T
	null  bool
}

// Value sets a field to v.
func Value[T any](v T) *Nullable[T] { return &Nullable[T]{value: v} }

// Null sets a field to null.
func Null[T any]() *Nullable[T] { return &Nullable[T]{null: true} }

// MarshalJSON writes the value, or null.
func (n Nullable[T]) MarshalJSON() ([]byte, error) {
	if n.null {
		return []byte("null"), nil
	}
	return json.Marshal(n.value)
}

// Date is a calendar day, without a time of day; the service's days are in UTC.
type Date struct {
	Year  int
	Month time.Month
	Day   int
}

// DateOf returns the day that t shows in its own location.
func DateOf(t time.Time) Date {
	year, month, day := t.Date()
	return Date{year, month, day}
}

// String returns the day as YYYY-MM-DD.
func (d Date) String() string { return fmt.Sprintf("%04d-%02d-%02d", d.Year, d.Month, d.Day) }

// Time returns the day's first instant in UTC.
func (d Date) Time() time.Time { return time.Date(d.Year, d.Month, d.Day, 0, 0, 0, 0, time.UTC) }

// MarshalText writes the day as YYYY-MM-DD.
func (d Date) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads YYYY-MM-DD.
func (d *Date) UnmarshalText(text []byte) error {
	t, err := time.Parse(time.DateOnly, string(text))
	if err != nil {
		return err
	}
	*d = DateOf(t)
	return nil
}
