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

// LogLine is what a handler wrote.
type LogLine struct {
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
}

// LogsPage is one page of log lines, oldest first.
type LogsPage struct {
	WorkloadID string     `json:"workload_id"`
	Logs       []*LogLine `json:"logs"`
	// HasMore: there are lines after these.
	HasMore bool `json:"has_more"`
}

// Logs returns one page of a workload's log lines; request may be nil.
func (s *WorkloadsService) Logs(ctx context.Context, workloadID string, request *LogsRequest, options ...CallOption) (*LogsPage, error) {
	return send[LogsPage](ctx, s.transport, call{
		method: http.MethodGet, path: workloadPath(workloadID, "/logs"), query: queryOf(request), safe: true,
	}, options)
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
	return iteratePages(wanted.Cursor, func(cursor string) ([]*AuditEvent, Pagination, error) {
		page := wanted
		page.Cursor = cursor
		found, err := s.Audit(ctx, workloadID, &page, options...)
		if err != nil {
			return nil, Pagination{}, err
		}
		return found.Events, found.Pagination, nil
	})
}
