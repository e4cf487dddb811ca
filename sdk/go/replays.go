package niyanta

import (
	"context"
	"net/http"
	"time"
)

// ReplayWorkloadRequest says what a replay has differently; what is nil is as it was.
type ReplayWorkloadRequest struct {
	// InputParams takes the place of the input it had: a map, a struct, or anything else that becomes a JSON object.
	InputParams any  `json:"input_params,omitempty"`
	Priority    *int `json:"priority,omitempty"`
	// FromCheckpoint is the sequence of the original's checkpoint to begin at; at the start when nil.
	FromCheckpoint *int64 `json:"from_checkpoint,omitempty"`
}

// ReplayBatchRequest chooses up to 1,000 workloads that have ended, the oldest first.
type ReplayBatchRequest struct {
	Filter ReplayFilter `json:"filter"`
	// Priority takes the place of the one they had.
	Priority *int `json:"priority,omitempty"`
	// Limit is how many at most; 1,000 when nil.
	Limit *int `json:"limit,omitempty"`
	// Cursor is the NextCursor of the call before, with the same filter.
	Cursor *string `json:"cursor,omitempty"`
}

// ReplayFilter chooses workloads; nil fields don't choose.
type ReplayFilter struct {
	// Status is one that ends a workload; FAILED when nil.
	Status        *Status    `json:"status,omitempty"`
	WorkloadType  *string    `json:"workload_type,omitempty"`
	CreatedBefore *time.Time `json:"created_before,omitempty"`
	CreatedAfter  *time.Time `json:"created_after,omitempty"`
	// Labels must all be there.
	Labels map[string]string `json:"labels,omitempty"`
	// Fingerprint is that of a Failure.
	Fingerprint *string `json:"fingerprint,omitempty"`
}

// ReplayedBatch is what became of a batch of replays.
type ReplayedBatch struct {
	Results  []*ReplayedItem `json:"results"`
	Accepted int             `json:"accepted"`
	Rejected int             `json:"rejected"`
	// HasMore: the filter fits more; call again with NextCursor.
	HasMore    bool    `json:"has_more"`
	NextCursor *string `json:"next_cursor"`
}

// ReplayedItem is what became of one replay.
type ReplayedItem struct {
	// ReplayedFrom is the original.
	ReplayedFrom string `json:"replayed_from"`
	// ID is the replay's; nil when it was refused.
	ID *string `json:"workload_id"`
	// Error says why it was refused; nil when it wasn't.
	Error *ItemError `json:"error"`
}

// ForkWorkloadRequest says where a fork begins and what it has differently; what is nil is as it was.
type ForkWorkloadRequest struct {
	// InputParams takes the place of the input it had: a map, a struct, or anything else that becomes a JSON object.
	InputParams any  `json:"input_params,omitempty"`
	Priority    *int `json:"priority,omitempty"`
	// FromCheckpoint is the sequence of the original's checkpoint to begin at; its newest when nil.
	FromCheckpoint *int64 `json:"from_checkpoint,omitempty"`
}

// Fork submits a workload again, ended or not, to begin at one of its checkpoints; request may be nil. The original goes
// on. It is safe against repetition as Submit is.
func (s *WorkloadsService) Fork(ctx context.Context, workloadID string, request *ForkWorkloadRequest, options ...CallOption) (*SubmittedWorkload, error) {
	wanted := copied(request)
	return send[SubmittedWorkload](ctx, s.transport, call{
		method: http.MethodPost, path: workloadPath(workloadID, "/fork"), body: &wanted, safe: true, keyed: true,
	}, options)
}

// Replay submits a workload that has ended again, as a new one; request may be nil. It is safe against repetition as
// Submit is. ErrInvalidState: it hasn't ended.
func (s *WorkloadsService) Replay(ctx context.Context, workloadID string, request *ReplayWorkloadRequest, options ...CallOption) (*SubmittedWorkload, error) {
	wanted := copied(request)
	return send[SubmittedWorkload](ctx, s.transport, call{
		method: http.MethodPost, path: workloadPath(workloadID, "/replay"), body: &wanted, safe: true, keyed: true,
	}, options)
}

// ReplayBatch replays up to 1,000 workloads with one call, each with an outcome of its own. It is safe against
// repetition; the idempotency key is that of the one call.
func (s *WorkloadsService) ReplayBatch(ctx context.Context, request *ReplayBatchRequest, options ...CallOption) (*ReplayedBatch, error) {
	wanted := copied(request)
	return send[ReplayedBatch](ctx, s.transport, call{
		method: http.MethodPost, path: "/workloads/replay", body: &wanted, safe: true, keyed: true,
	}, options)
}
