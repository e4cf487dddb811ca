package niyanta

import (
	"context"
	"net/http"
	"time"
)

// SubmitBatchRequest describes 1 to 1,000 new workloads.
type SubmitBatchRequest struct {
	Workloads []*SubmitWorkloadRequest `json:"workloads"`
}

// SubmittedBatch is what became of a batch, in the order given.
type SubmittedBatch struct {
	Results  []*SubmittedItem `json:"results"`
	Accepted int              `json:"accepted"`
	Rejected int              `json:"rejected"`
}

// SubmittedItem is what became of one workload of a batch.
type SubmittedItem struct {
	// Index is its place in the batch, from 0.
	Index int `json:"index"`
	// ID is empty when it was refused, and so is what follows.
	ID                 string     `json:"workload_id"`
	Status             Status     `json:"status"`
	CreatedAt          *time.Time `json:"created_at"`
	EstimatedStartTime *time.Time `json:"estimated_start_time"`
	Version            int64      `json:"version"`
	// Error says why it was refused; nil when it wasn't.
	Error *ItemError `json:"error"`
}

// CancelBatchRequest chooses up to 1,000 workloads, by their ids or by a filter.
type CancelBatchRequest struct {
	WorkloadIDs []string `json:"workload_ids,omitempty"`
	// Filter chooses the oldest that fit.
	Filter *CancelFilter `json:"filter,omitempty"`
	// Reason goes into the workloads' histories.
	Reason string `json:"reason,omitempty"`
}

// CancelFilter chooses workloads; nil fields don't choose.
type CancelFilter struct {
	Status        Status     `json:"status,omitempty"`
	WorkloadType  string     `json:"workload_type,omitempty"`
	CreatedBefore *time.Time `json:"created_before,omitempty"`
	CreatedAfter  *time.Time `json:"created_after,omitempty"`
	// Labels must all be there.
	Labels map[string]string `json:"labels,omitempty"`
}

// CancelledBatch is what became of a batch of cancellations.
type CancelledBatch struct {
	Results   []*CancelledItem `json:"results"`
	Cancelled int              `json:"cancelled"`
	Failed    int              `json:"failed"`
	// HasMore: the filter fits more than one call may cancel; call again.
	HasMore bool `json:"has_more"`
}

// CancelledItem is what became of one cancellation.
type CancelledItem struct {
	ID string `json:"workload_id"`
	// Status is empty when it wasn't cancelled, and so is what follows.
	Status      Status     `json:"status"`
	CancelledAt *time.Time `json:"cancelled_at"`
	Version     int64      `json:"version"`
	// Error says why it wasn't cancelled; nil when it was.
	Error *ItemError `json:"error"`
}

// SubmitBatch stores up to 1,000 workloads with one call, each with an outcome of its own: that some are refused is no
// error of the call. It is safe against repetition as Submit is; the idempotency key is that of the whole batch.
func (s *WorkloadsService) SubmitBatch(ctx context.Context, request *SubmitBatchRequest, options ...CallOption) (*SubmittedBatch, error) {
	given := copied(request).Workloads
	batch := SubmitBatchRequest{Workloads: make([]*SubmitWorkloadRequest, len(given))}
	for i, workload := range given {
		batch.Workloads[i] = workload.withInput()
	}
	return send[SubmittedBatch](ctx, s.transport, call{
		method: http.MethodPost, path: "/workloads/batch", body: &batch, safe: true, keyed: true,
	}, options)
}

// CancelBatch cancels up to 1,000 workloads with one call, each with an outcome of its own.
func (s *WorkloadsService) CancelBatch(ctx context.Context, request *CancelBatchRequest, options ...CallOption) (*CancelledBatch, error) {
	return send[CancelledBatch](ctx, s.transport, call{
		method: http.MethodPost, path: "/workloads/batch/cancel", body: request,
	}, options)
}
