package niyanta

import (
	"fmt"
	"net/url"
	"reflect"
	"strconv"
	"time"
)

// queryOf turns the fields of a request that have a tag `query:"name"` into the parameters of an address. Zero values
// and nil pointers are left out, labels given one by one. The request may be nil.
func queryOf(request any) url.Values {
	found := url.Values{}
	value := reflect.ValueOf(request)
	if value.Kind() == reflect.Pointer {
		if value.IsNil() {
			return found
		}
		value = value.Elem()
	}
	for i := range value.NumField() {
		name := value.Type().Field(i).Tag.Get("query")
		field := value.Field(i)
		if name == "" || field.IsZero() {
			continue
		}
		if labels, ok := field.Interface().(map[string]string); ok {
			for key, label := range labels {
				found.Add(name, key+":"+label)
			}
			continue
		}
		if field.Kind() == reflect.Pointer {
			field = field.Elem()
		}
		found.Set(name, textOf(field))
	}
	return found
}

func textOf(field reflect.Value) string {
	if t, ok := field.Interface().(time.Time); ok {
		return t.UTC().Format(time.RFC3339Nano)
	}
	if text, ok := field.Interface().(fmt.Stringer); ok {
		return text.String()
	}
	switch field.Kind() {
	case reflect.String:
		return field.String()
	case reflect.Int, reflect.Int64:
		return strconv.FormatInt(field.Int(), 10)
	case reflect.Bool:
		return strconv.FormatBool(field.Bool())
	default:
		panic("niyanta: a query parameter can't be a " + field.Type().String())
	}
}
