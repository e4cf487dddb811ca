package niyanta

import (
	"context"
	"net/http"
	"time"
)

// FailuresRequest says which failures are wanted; empty fields don't choose.
type FailuresRequest struct {
	// Since and Until are taken as whole hours.
	Since        *time.Time `query:"since"`
	Until        *time.Time `query:"until"`
	WorkloadType string     `query:"workload_type"`
	// OrderBy is last_seen_at (when empty) or count, each the greatest first.
	OrderBy string `query:"order_by"`
	// Limit is how many at most, 1 to 100; 50 when 0.
	Limit int `query:"limit"`
}

// Failures tells what workloads FAILED of.
type Failures struct {
	Failures []*Failure `json:"failures"`
	// HasMore: there are more fingerprints.
	HasMore bool `json:"has_more"`
	// CountedSince is from when on failures were counted; nil when all were.
	CountedSince *time.Time `json:"counted_since"`
}

// Failure is what workloads that FAILED with errors that are alike have in common.
type Failure struct {
	// Fingerprint names them, in filters.
	Fingerprint string `json:"fingerprint"`
	// Message is the error of the last one; its first 1,000 characters.
	Message string `json:"message"`
	// Pattern is what the errors have in common: without numbers, ids and paths.
	Pattern string `json:"pattern"`
	// Count is how many, also those that are forgotten by now.
	Count       int       `json:"count"`
	FirstSeenAt time.Time `json:"first_seen_at"`
	LastSeenAt  time.Time `json:"last_seen_at"`
	// WorkloadTypes are those of the workloads.
	WorkloadTypes []string `json:"workload_types"`
	// WorkloadIDs are up to five of them, the newest first.
	WorkloadIDs []string `json:"workload_ids"`
}

// Failures returns what workloads FAILED of, those together whose errors are alike; request may be nil.
func (s *WorkloadsService) Failures(ctx context.Context, request *FailuresRequest, options ...CallOption) (*Failures, error) {
	return send[Failures](ctx, s.transport, call{
		method: http.MethodGet, path: "/failures", query: queryOf(request), safe: true,
	}, options)
}
