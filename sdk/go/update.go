package niyanta

import (
	"context"
	"net/http"
)

// UpdateWorkloadRequest says what of a waiting workload is to be different; what is nil stays as it is.
type UpdateWorkloadRequest struct {
	Priority *int `json:"priority,omitempty"`
	// TimeoutSeconds bounds the running time of one attempt; Null is what the type's config says.
	TimeoutSeconds *Nullable[int] `json:"timeout_seconds,omitempty"`
	// AffinityRules say where it may run; Null is anywhere.
	AffinityRules *Nullable[AffinityRules] `json:"affinity_rules,omitempty"`
	// Labels come in place of all that it has; Null is none.
	Labels *Nullable[map[string]string] `json:"labels,omitempty"`
	// Version: change it only if this is its version still.
	Version *int64 `json:"version,omitempty"`
}

// Update changes the priority, the time-out, the affinity or the labels of a workload that waits or is PAUSED. ErrInvalidState: a
// worker has it, or it has ended. ErrConflict: it has another version by now.
func (s *WorkloadsService) Update(ctx context.Context, workloadID string, request *UpdateWorkloadRequest, options ...CallOption) (*Workload, error) {
	wanted := copied(request)
	return send[Workload](ctx, s.transport, call{
		method: http.MethodPatch, path: workloadPath(workloadID, ""), body: &wanted,
	}, options)
}
