package niyanta

import (
	"context"
	"iter"
	"net/http"
	"time"
)

// LogLevel says how grave a log line is.
type LogLevel string

// The levels of log lines.
const (
	LogDebug LogLevel = "DEBUG"
	LogInfo  LogLevel = "INFO"
	LogWarn  LogLevel = "WARN"
	LogError LogLevel = "ERROR"
)

// LogLine is what a handler wrote. Attempt and Sequence name it for ever.
type LogLine struct {
	// Attempt is the one that wrote it, from 1.
	Attempt int64 `json:"attempt"`
	// Sequence grows from line to line within the attempt.
	Sequence  int64     `json:"sequence"`
	Timestamp time.Time `json:"timestamp"`
	Level     LogLevel  `json:"level"`
	Message   string    `json:"message"`
	Details   Object    `json:"details"`
}

// LogsRequest says which log lines are wanted; empty fields don't choose.
type LogsRequest struct {
	// Limit is how many a page has at most, 1 to 1000; 100 when 0.
	Limit int `query:"limit"`
	// Since is exclusive.
	Since time.Time `query:"since"`
	// Until is inclusive.
	Until time.Time `query:"until"`
	// Level chooses lines of this level or a higher one.
	Level LogLevel `query:"level"`
	// Order is asc (when empty), oldest first, or desc.
	Order string `query:"order"`
	// Tail asks for the last so many lines, oldest first, in place of Limit and Order; the cursor leads to the ones
	// before them.
	Tail int `query:"tail"`
	// Q chooses lines whose message has it in it, in whatever case. The service looks at 5000 lines for a page, which may
	// be empty although its cursor leads on.
	Q string `query:"q"`
	// Cursor is that of the page before.
	Cursor string `query:"cursor"`
}

// LogsPage is one page of log lines, in the order asked for.
type LogsPage struct {
	WorkloadID string     `json:"workload_id"`
	Logs       []*LogLine `json:"logs"`
	// HasMore is as in the pagination.
	HasMore    bool       `json:"has_more"`
	Pagination Pagination `json:"pagination"`
}

// Logs returns one page of a workload's log lines; request may be nil.
func (s *WorkloadsService) Logs(ctx context.Context, workloadID string, request *LogsRequest, options ...CallOption) (*LogsPage, error) {
	return send[LogsPage](ctx, s.transport, call{
		method: http.MethodGet, path: workloadPath(workloadID, "/logs"), query: queryOf(request), safe: true,
	}, options)
}

// IterateLogs yields all log lines that fit, page by page; request may be nil, and has no Tail.
func (s *WorkloadsService) IterateLogs(ctx context.Context, workloadID string, request *LogsRequest, options ...CallOption) iter.Seq2[*LogLine, error] {
	wanted := copied(request)
	if wanted.Limit == 0 {
		wanted.Limit = 1000
	}
	return iteratePages(ctx, wanted.Cursor, func(cursor string) ([]*LogLine, Pagination, error) {
		page := wanted
		page.Cursor = cursor
		found, err := s.Logs(ctx, workloadID, &page, options...)
		if err != nil {
			return nil, Pagination{}, err
		}
		return found.Logs, found.Pagination, nil
	})
}

// ActorType says who moved a workload.
type ActorType string

// The types of actors.
const (
	ActorUser        ActorType = "user"
	ActorCoordinator ActorType = "coordinator"
	ActorWorker      ActorType = "worker"
)

// AuditEvent is the record of one move of a workload.
type AuditEvent struct {
	// ID counts from 1 without gaps within the workload.
	ID int64 `json:"event_id"`
	// Type is such as "workload.created".
	Type      string    `json:"event_type"`
	Timestamp time.Time `json:"timestamp"`
	ActorType ActorType `json:"actor_type"`
	ActorID   string    `json:"actor_id"`
	Details   Object    `json:"details"`
}

// AuditRequest says which page of a history is wanted.
type AuditRequest struct {
	// Limit is how many a page has at most, 1 to 1000; 1000 when 0.
	Limit int `query:"limit"`
	// Cursor is that of the page before.
	Cursor string `query:"cursor"`
}

// AuditPage is one page of a workload's history, in order.
type AuditPage struct {
	WorkloadID string        `json:"workload_id"`
	Events     []*AuditEvent `json:"events"`
	Pagination Pagination    `json:"pagination"`
}

// Audit returns one page of a workload's history; request may be nil.
func (s *WorkloadsService) Audit(ctx context.Context, workloadID string, request *AuditRequest, options ...CallOption) (*AuditPage, error) {
	return send[AuditPage](ctx, s.transport, call{
		method: http.MethodGet, path: workloadPath(workloadID, "/audit"), query: queryOf(request), safe: true,
	}, options)
}

// IterateAudit yields a workload's whole history in order, page by page; request may be nil.
func (s *WorkloadsService) IterateAudit(ctx context.Context, workloadID string, request *AuditRequest, options ...CallOption) iter.Seq2[*AuditEvent, error] {
	wanted := copied(request)
	return iteratePages(ctx, wanted.Cursor, func(cursor string) ([]*AuditEvent, Pagination, error) {
		page := wanted
		page.Cursor = cursor
		found, err := s.Audit(ctx, workloadID, &page, options...)
		if err != nil {
			return nil, Pagination{}, err
		}
		return found.Events, found.Pagination, nil
	})
}
