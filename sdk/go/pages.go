package niyanta

import (
	"context"
	"iter"
	"time"
)

// Pagination says where a page stands in its list.
type Pagination struct {
	// HasMore: there is a page after this one.
	HasMore bool `json:"has_more"`
	// NextCursor asks for the next page, with the same filters and order; nil on the last one.
	NextCursor *string `json:"next_cursor"`
	// Total is how many fit in all; only with an offset.
	Total *int `json:"total"`
	// TotalIsEstimate: there are too many to count, and Total is near.
	TotalIsEstimate *bool `json:"total_is_estimate"`
	// Limit is how many a page has at most; only with an offset.
	Limit *int `json:"limit"`
	// Offset is how many come before this page; only with an offset.
	Offset *int `json:"offset"`
	// ReachedAt, of workloads by labels, while HasMore: how far the page has looked, as a time of submission.
	ReachedAt *time.Time `json:"reached_at"`
}

// next returns the cursor of the next page, "" on the last.
func (p Pagination) next() string {
	if !p.HasMore || p.NextCursor == nil {
		return ""
	}
	return *p.NextCursor
}

// Collect reads a sequence to its end into a slice. On an error it returns what came before it too.
func Collect[T any](items iter.Seq2[T, error]) ([]T, error) {
	var found []T
	for item, err := range items {
		if err != nil {
			return found, err
		}
		found = append(found, item)
	}
	return found, nil
}

// iteratePages yields the items of all pages. fetch is called with the cursor to begin with, then with each page's; an
// error ends the sequence. After a page without items, of a search that has found nothing yet, it rests as long as the
// page took.
func iteratePages[T any](ctx context.Context, cursor string, fetch func(cursor string) ([]T, Pagination, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		cursor := cursor // each use of the sequence begins anew
		for {
			begun := time.Now()
			items, pagination, err := fetch(cursor)
			if err != nil {
				var none T
				yield(none, err)
				return
			}
			for _, item := range items {
				if !yield(item, nil) {
					return
				}
			}
			if cursor = pagination.next(); cursor == "" {
				return
			}
			if len(items) == 0 {
				if err := sleep(ctx, time.Since(begun)); err != nil {
					var none T
					yield(none, err)
					return
				}
			}
		}
	}
}

// copied returns a copy of the request, or an empty one for nil, so that the caller's isn't changed.
func copied[T any](request *T) T {
	if request == nil {
		var none T
		return none
	}
	return *request
}
