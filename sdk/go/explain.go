package niyanta

import (
	"context"
	"net/http"
	"time"
)

// Explanation says why a workload is where it is.
type Explanation struct {
	ID          string    `json:"workload_id"`
	Status      Status    `json:"status"`
	Version     int64     `json:"version"`
	ExplainedAt time.Time `json:"explained_at"`
	// Reasons are all that keep it waiting, what has to change first, first; or why it doesn't wait.
	Reasons []*ExplainedReason `json:"reasons"`
	// Position is nil unless it waits in the queue.
	Position *QueuePosition `json:"position"`
	// EstimatedStart is nil when there is nothing to estimate from.
	EstimatedStart      *TimeEstimate `json:"estimated_start"`
	EstimatedCompletion *TimeEstimate `json:"estimated_completion"`
	// Accuracy is that of the last estimates; nil when none has come true yet.
	Accuracy *EstimateAccuracy `json:"accuracy"`
	// SmallestChange is the least that would start it, for people; nil when it has only to wait.
	SmallestChange *string `json:"smallest_change"`
}

// ExplainedReason is one reason why a workload is where it is.
type ExplainedReason struct {
	// Code is workers_full, limit_reached, backing_off and so on; a later release may know more.
	Code    string `json:"code"`
	Message string `json:"message"`
	// Details are the numbers behind it; which, depends on the code.
	Details Object `json:"details"`
}

// QueuePosition is a workload's place among the customer's own that wait for the same slots.
type QueuePosition struct {
	Ahead int64 `json:"ahead"`
	// IsBounded: so many or more; counting ends there.
	IsBounded bool `json:"is_bounded"`
}

// TimeEstimate says by when it is so for half of such workloads, and for nine of ten.
type TimeEstimate struct {
	P50 *time.Time `json:"p50"`
	P90 *time.Time `json:"p90"`
}

// EstimateAccuracy says how wrong estimates of a start were of late: waits that were, as multiples of those that were
// estimated.
type EstimateAccuracy struct {
	Samples int     `json:"samples"`
	P50     float64 `json:"p50"`
	P90     float64 `json:"p90"`
}

// Explain says why a workload waits, with numbers and what would start it; or where it runs, who paused it, or how it
// ended.
func (s *WorkloadsService) Explain(ctx context.Context, workloadID string, options ...CallOption) (*Explanation, error) {
	return send[Explanation](ctx, s.transport, call{
		method: http.MethodGet, path: workloadPath(workloadID, "/explain"), safe: true,
	}, options)
}
