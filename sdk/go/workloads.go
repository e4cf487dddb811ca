package niyanta

import (
	"context"
	"iter"
	"net/http"
	"time"
)

// WorkloadsService submits, reads, moves and watches workloads.
type WorkloadsService struct{ transport *transport }

// Status says where a workload is in its life.
type Status string

// The states of a workload.
const (
	// StatusPending: it waits for a worker.
	StatusPending Status = "PENDING"
	// StatusScheduled: a worker has been given it.
	StatusScheduled Status = "SCHEDULED"
	StatusRunning   Status = "RUNNING"
	// StatusPaused: it waits for its resume; its checkpoint is safe.
	StatusPaused Status = "PAUSED"
	// StatusRedistributing: it waits for another worker, or for another try.
	StatusRedistributing Status = "REDISTRIBUTING"
	StatusCompleted      Status = "COMPLETED"
	StatusFailed         Status = "FAILED"
	StatusCancelled      Status = "CANCELLED"
)

// IsTerminal reports whether a workload stays in this state for ever.
func (s Status) IsTerminal() bool {
	return s == StatusCompleted || s == StatusFailed || s == StatusCancelled
}

// AffinityRules say where a workload may run, should run, and may not run.
type AffinityRules struct {
	Hard *AffinityConstraint `json:"hard_affinity,omitempty"`
	Soft *AffinityConstraint `json:"soft_affinity,omitempty"`
	Anti *AffinityConstraint `json:"anti_affinity,omitempty"`
}

// AffinityConstraint describes workers.
type AffinityConstraint struct {
	WorkerID string `json:"worker_id,omitempty"`
	// WorkerTags must all be there with these values.
	WorkerTags map[string]string `json:"worker_tags,omitempty"`
	// WorkloadTypes are those of workloads on the same worker.
	WorkloadTypes []string `json:"workload_types,omitempty"`
}

// SubmitWorkloadRequest describes a new workload.
type SubmitWorkloadRequest struct {
	// WorkloadType is one that a worker serves or that has a config.
	WorkloadType string `json:"workload_type"`
	// InputParams is the handler's input: a map, a struct, or anything else that becomes a JSON object; {} when nil.
	InputParams any `json:"input_params"`
	// Priority is 0 to 1000, higher first; 10 when nil.
	Priority      *int           `json:"priority,omitempty"`
	AffinityRules *AffinityRules `json:"affinity_rules,omitempty"`
	// TimeoutSeconds bounds the running time of one attempt; what its config says when 0.
	TimeoutSeconds int `json:"timeout_seconds,omitempty"`
	// Labels are what lists find it by, up to 16.
	Labels map[string]string `json:"labels,omitempty"`
}

// withInput is the request with an input in any case, as the service wants one.
func (r *SubmitWorkloadRequest) withInput() *SubmitWorkloadRequest {
	whole := copied(r)
	if whole.InputParams == nil {
		whole.InputParams = Object{}
	}
	return &whole
}

// SubmittedWorkload is the answer to a submission. The workload is stored.
type SubmittedWorkload struct {
	ID        string    `json:"workload_id"`
	Status    Status    `json:"status"`
	CreatedAt time.Time `json:"created_at"`
	// EstimatedStartTime is nil when there is nothing to estimate from.
	EstimatedStartTime *time.Time `json:"estimated_start_time"`
	// Version grows by one with each change of the workload.
	Version int64 `json:"version"`
}

// Workload is one workload, whole.
type Workload struct {
	ID              string `json:"workload_id"`
	CustomerID      string `json:"customer_id"`
	WorkloadType    string `json:"workload_type"`
	Status          Status `json:"status"`
	Priority        int    `json:"priority"`
	ProgressPercent int    `json:"progress_percent"`
	// ProgressMessage is what the handler said last.
	ProgressMessage *string `json:"progress_message"`
	// WorkerID is nil while no worker has it.
	WorkerID    *string `json:"worker_id"`
	InputParams Object  `json:"input_params"`
	// ResultData is what the handler returned; nil before it COMPLETED.
	ResultData Object `json:"result_data"`
	// ErrorMessage is what went wrong last.
	ErrorMessage *string `json:"error_message"`
	RetryCount   int     `json:"retry_count"`
	// PendingReason says why it waits, where that isn't plain.
	PendingReason *string        `json:"pending_reason"`
	AffinityRules *AffinityRules `json:"affinity_rules"`
	// TimeoutSeconds bounds the running time of one attempt; nil is no bound.
	TimeoutSeconds *int `json:"timeout_seconds"`
	// CheckpointSequence is the number of its last checkpoint; 0 before the first.
	CheckpointSequence int64 `json:"checkpoint_sequence"`
	// SecondsSinceCheckpoint is, of one that runs, what would be done again if its worker were lost now.
	SecondsSinceCheckpoint *float64 `json:"seconds_since_checkpoint"`
	// Version grows by one with each change.
	Version int64 `json:"version"`
	// Generation counts its assignments.
	Generation  int64      `json:"generation"`
	CreatedAt   time.Time  `json:"created_at"`
	ScheduledAt *time.Time `json:"scheduled_at"`
	StartedAt   *time.Time `json:"started_at"`
	// CompletedAt is when it ended, in whatever way.
	CompletedAt *time.Time `json:"completed_at"`
	PausedAt    *time.Time `json:"paused_at"`
	CancelledAt *time.Time `json:"cancelled_at"`
	// ReplayedFrom is the workload that it is a replay of.
	ReplayedFrom *string `json:"replayed_from"`
	// ForkedFrom is the workload that it is a fork of.
	ForkedFrom *string `json:"forked_from"`
	// FromCheckpoint is the checkpoint of that one at which it began.
	FromCheckpoint *int64 `json:"from_checkpoint"`
	// Labels are those that it was submitted with.
	Labels map[string]string `json:"labels"`
	// ErrorFingerprint names the failures like its own, of one that FAILED.
	ErrorFingerprint *string `json:"error_fingerprint"`
	// EstimatedStartTime is nil when there is nothing to estimate from.
	EstimatedStartTime *time.Time `json:"estimated_start_time"`
	// EstimatedCompletionTime is nil when there is nothing to estimate from.
	EstimatedCompletionTime *time.Time `json:"estimated_completion_time"`
}

// WorkloadSummary is one workload as lists show it.
type WorkloadSummary struct {
	ID              string     `json:"workload_id"`
	WorkloadType    string     `json:"workload_type"`
	Status          Status     `json:"status"`
	Priority        int        `json:"priority"`
	ProgressPercent int        `json:"progress_percent"`
	WorkerID        *string    `json:"worker_id"`
	RetryCount      int        `json:"retry_count"`
	CreatedAt       time.Time  `json:"created_at"`
	StartedAt       *time.Time `json:"started_at"`
	CompletedAt     *time.Time `json:"completed_at"`
	Version         int64      `json:"version"`
	// Labels are those that it was submitted with.
	Labels map[string]string `json:"labels"`
}

// ListWorkloadsRequest says which workloads are wanted; empty fields don't choose.
type ListWorkloadsRequest struct {
	Status       Status `query:"status"`
	WorkloadType string `query:"workload_type"`
	// Labels must all be there. Such a list, and one with what follows up to Q, is ordered by created_at and has no
	// offset; a page by labels may have fewer than Limit and go on all the same.
	Labels        map[string]string `query:"label"`
	CreatedAfter  *time.Time        `query:"created_after"`
	CreatedBefore *time.Time        `query:"created_before"`
	// Q is how the id begins.
	Q string `query:"q"`
	// Fingerprint chooses what FAILED so, as a Failure has it; it goes as Labels do.
	Fingerprint string `query:"fingerprint"`
	// Limit is how many a page has at most, 1 to 100; 50 when 0.
	Limit int `query:"limit"`
	// Offset asks for a page by the number of those before it; not together with Cursor.
	Offset *int `query:"offset"`
	// OrderBy is created_at (when empty), priority, status, workload_type, progress_percent, started_at or
	// completed_at.
	OrderBy string `query:"order_by"`
	// Order is asc or desc (when empty).
	Order string `query:"order"`
	// Cursor is that of the page before; filters and order must be the same.
	Cursor string `query:"cursor"`
}

// WorkloadsPage is one page of workloads.
type WorkloadsPage struct {
	Workloads  []*WorkloadSummary `json:"workloads"`
	Pagination Pagination         `json:"pagination"`
}

// CancelWorkloadRequest says why a workload is cancelled.
type CancelWorkloadRequest struct {
	// Reason goes into the workload's history.
	Reason string `json:"reason,omitempty"`
}

// CancelledWorkload is the answer to a cancellation.
type CancelledWorkload struct {
	ID          string     `json:"workload_id"`
	Status      Status     `json:"status"`
	CancelledAt *time.Time `json:"cancelled_at"`
	Version     int64      `json:"version"`
}

// PausedWorkload is the answer to a pause.
type PausedWorkload struct {
	ID       string     `json:"workload_id"`
	Status   Status     `json:"status"`
	PausedAt *time.Time `json:"paused_at"`
	// CheckpointSequence is the number of the checkpoint that it will go on from.
	CheckpointSequence int64 `json:"checkpoint_sequence"`
	Version            int64 `json:"version"`
}

// ResumedWorkload is the answer to a resume.
type ResumedWorkload struct {
	ID     string `json:"workload_id"`
	Status Status `json:"status"`
	// CheckpointSequence is the number of the checkpoint that it goes on from.
	CheckpointSequence int64 `json:"checkpoint_sequence"`
	Version            int64 `json:"version"`
}

// Submit stores a workload; it starts when a worker is free. It is safe against repetition: without an idempotency key
// of yours, a new one is made.
func (s *WorkloadsService) Submit(ctx context.Context, request *SubmitWorkloadRequest, options ...CallOption) (*SubmittedWorkload, error) {
	return send[SubmittedWorkload](ctx, s.transport, call{
		method: http.MethodPost, path: "/workloads", body: request.withInput(), safe: true, keyed: true,
	}, options)
}

// Get returns one workload.
func (s *WorkloadsService) Get(ctx context.Context, workloadID string, options ...CallOption) (*Workload, error) {
	return s.get(ctx, workloadID, nil, options)
}

// GetAfter is a long poll: it returns the workload as soon as its version has passed the one given, and in any case
// after wait, in whole seconds from 1 to 60.
func (s *WorkloadsService) GetAfter(ctx context.Context, workloadID string, version int64, wait time.Duration, options ...CallOption) (*Workload, error) {
	seconds := min(max(1, int(wait/time.Second)), 60)
	return s.get(ctx, workloadID, &longPoll{WaitSeconds: seconds, Version: &version}, options)
}

// longPoll has the service hold its answer back.
type longPoll struct {
	WaitSeconds int    `query:"wait_seconds"`
	Version     *int64 `query:"version"`

	once bool
}

func (s *WorkloadsService) get(ctx context.Context, workloadID string, poll *longPoll, options []CallOption) (*Workload, error) {
	wanted := copied(poll)
	return send[Workload](ctx, s.transport, call{
		method: http.MethodGet, path: workloadPath(workloadID, ""), query: queryOf(&wanted), safe: true,
		waits: time.Duration(wanted.WaitSeconds) * time.Second, once: wanted.once,
	}, options)
}

// List returns one page of workloads, newest first unless asked otherwise; request may be nil.
func (s *WorkloadsService) List(ctx context.Context, request *ListWorkloadsRequest, options ...CallOption) (*WorkloadsPage, error) {
	return send[WorkloadsPage](ctx, s.transport, call{
		method: http.MethodGet, path: "/workloads", query: queryOf(request), safe: true,
	}, options)
}

// Iterate yields all workloads that fit, page by page; request may be nil. None comes twice or is left out because
// others are submitted meanwhile.
func (s *WorkloadsService) Iterate(ctx context.Context, request *ListWorkloadsRequest, options ...CallOption) iter.Seq2[*WorkloadSummary, error] {
	wanted := copied(request)
	if wanted.Limit == 0 {
		wanted.Limit = 100
	}
	return iteratePages(ctx, wanted.Cursor, func(cursor string) ([]*WorkloadSummary, Pagination, error) {
		page := wanted
		if page.Cursor = cursor; cursor != "" {
			page.Offset = nil
		}
		found, err := s.List(ctx, &page, options...)
		if err != nil {
			return nil, Pagination{}, err
		}
		return found.Workloads, found.Pagination, nil
	})
}

// Cancel ends a workload, at once and for good; request may be nil. ErrInvalidState: it has ended already.
func (s *WorkloadsService) Cancel(ctx context.Context, workloadID string, request *CancelWorkloadRequest, options ...CallOption) (*CancelledWorkload, error) {
	reason := copied(request)
	return send[CancelledWorkload](ctx, s.transport, call{
		method: http.MethodPost, path: workloadPath(workloadID, "/cancel"), body: &reason,
	}, options)
}

// Pause has a RUNNING workload save a checkpoint and stop. It returns when the checkpoint is safe and the processes
// are gone. ErrUnavailable: no checkpoint came in time, and the workload goes on running.
func (s *WorkloadsService) Pause(ctx context.Context, workloadID string, options ...CallOption) (*PausedWorkload, error) {
	return send[PausedWorkload](ctx, s.transport, call{
		method: http.MethodPost, path: workloadPath(workloadID, "/pause"), waits: pauseWait,
	}, options)
}

// pauseWait is for how long the service waits for a checkpoint, and then for the processes to end.
const pauseWait = 60 * time.Second

// Resume puts a PAUSED workload back into the queue, to go on from its checkpoint.
func (s *WorkloadsService) Resume(ctx context.Context, workloadID string, options ...CallOption) (*ResumedWorkload, error) {
	return send[ResumedWorkload](ctx, s.transport, call{
		method: http.MethodPost, path: workloadPath(workloadID, "/resume"),
	}, options)
}

// ResumeFrom does the same from a checkpoint of the list, whose copy becomes the last.
func (s *WorkloadsService) ResumeFrom(ctx context.Context, workloadID string, sequence int, options ...CallOption) (*ResumedWorkload, error) {
	return send[ResumedWorkload](ctx, s.transport, call{
		method: http.MethodPost, path: workloadPath(workloadID, "/resume"), body: resumeRequest{&sequence},
	}, options)
}

type resumeRequest struct {
	FromCheckpoint *int `json:"from_checkpoint"`
}

func workloadPath(workloadID, rest string) string { return "/workloads/" + quoted(workloadID) + rest }
