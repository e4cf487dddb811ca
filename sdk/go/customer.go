package niyanta

import (
	"context"
	"net/http"
	"time"
)

// CustomerService reads the customer's own account.
type CustomerService struct{ transport *transport }

// Tier is a customer's class; it sets limits and share.
type Tier string

// The tiers.
const (
	TierFree       Tier = "free"
	TierStandard   Tier = "standard"
	TierPremium    Tier = "premium"
	TierEnterprise Tier = "enterprise"
)

// CustomerStatus says whether a customer may make calls.
type CustomerStatus string

// The states of a customer.
const (
	CustomerActive    CustomerStatus = "active"
	CustomerSuspended CustomerStatus = "suspended"
)

// Limits bound what a customer uses.
type Limits struct {
	MaxConcurrentWorkloads int `json:"max_concurrent_workloads"`
	MaxQueueDepth          int `json:"max_queue_depth"`
	// RateLimitPerSec is in calls a second.
	RateLimitPerSec float64 `json:"rate_limit_per_sec"`
	// Burst is how many calls may come at once.
	Burst int `json:"burst"`
}

// Usage is what a customer uses now.
type Usage struct {
	CurrentRunningWorkloads int `json:"current_running_workloads"`
	CurrentQueueDepth       int `json:"current_queue_depth"`
	// WorkloadsToday were submitted since midnight UTC.
	WorkloadsToday int `json:"workloads_today"`
}

// Account is the customer's own account.
type Account struct {
	ID        string         `json:"customer_id"`
	Name      string         `json:"name"`
	Tier      Tier           `json:"tier"`
	Status    CustomerStatus `json:"status"`
	Limits    Limits         `json:"limits"`
	Usage     Usage          `json:"usage"`
	CreatedAt time.Time      `json:"created_at"`
}

// Get returns the account with its limits and what it uses of them now.
func (s *CustomerService) Get(ctx context.Context, options ...CallOption) (*Account, error) {
	return send[Account](ctx, s.transport, call{
		method: http.MethodGet, path: "/customer", safe: true,
	}, options)
}

// GroupBy says into which rows statistics are split.
type GroupBy string

// The ways to split statistics.
const (
	GroupByWorkloadType GroupBy = "workload_type"
	GroupByDay          GroupBy = "day"
	GroupByHour         GroupBy = "hour"
)

// StatsRequest says of which days statistics are wanted.
type StatsRequest struct {
	// StartDate is the first day.
	StartDate Date `query:"start_date"`
	// EndDate is the last day, included.
	EndDate Date `query:"end_date"`
	// GroupBy is by workload type when empty.
	GroupBy GroupBy `query:"group_by"`
	// WorkloadType is the only type that counts; all when empty.
	WorkloadType string `query:"workload_type"`
}

// Statistics is what became of the workloads that were submitted in a period.
type Statistics struct {
	StartDate Date              `json:"start_date"`
	EndDate   Date              `json:"end_date"`
	Summary   StatisticsSummary `json:"summary"`
	// ByWorkloadType is filled unless another grouping was asked for.
	ByWorkloadType []*TypeStatistics `json:"by_workload_type"`
	// ByDay is filled with GroupByDay.
	ByDay []*PeriodStatistics `json:"by_day"`
	// ByHour is filled with GroupByHour.
	ByHour []*PeriodStatistics `json:"by_hour"`
}

// RunSeconds say how long attempts ran, counted at the end of each.
type RunSeconds struct {
	// Used by all attempts that have ended.
	Used float64 `json:"used"`
	// Redone is of that since the last checkpoint, where another attempt had to do it again.
	Redone float64 `json:"redone"`
	// Lost is of that since the last checkpoint, of what ended FAILED or CANCELLED.
	Lost float64 `json:"lost"`
}

// StatisticsSummary counts all of a period.
type StatisticsSummary struct {
	TotalWorkloads      int        `json:"total_workloads"`
	CompletedWorkloads  int        `json:"completed_workloads"`
	FailedWorkloads     int        `json:"failed_workloads"`
	CancelledWorkloads  int        `json:"cancelled_workloads"`
	TotalExecutionHours float64    `json:"total_execution_hours"`
	RunSeconds          RunSeconds `json:"run_seconds"`
}

// TypeStatistics is about the workloads of one type.
type TypeStatistics struct {
	WorkloadType string `json:"workload_type"`
	Count        int    `json:"count"`
	// AvgDurationSeconds is nil when none has run.
	AvgDurationSeconds *float64 `json:"avg_duration_seconds"`
	// FailureRate is failed / (completed + failed); nil when none has ended so.
	FailureRate *float64   `json:"failure_rate"`
	RunSeconds  RunSeconds `json:"run_seconds"`
}

// PeriodStatistics is about the workloads of one day or hour.
type PeriodStatistics struct {
	Start     time.Time `json:"start"`
	Count     int       `json:"count"`
	Completed int       `json:"completed"`
	Failed    int       `json:"failed"`
	Cancelled int       `json:"cancelled"`
	// AvgDurationSeconds is nil when none has run.
	AvgDurationSeconds *float64 `json:"avg_duration_seconds"`
}

// Stats returns what became of the workloads of a period.
func (s *CustomerService) Stats(ctx context.Context, request *StatsRequest, options ...CallOption) (*Statistics, error) {
	return send[Statistics](ctx, s.transport, call{
		method: http.MethodGet, path: "/customer/stats", query: queryOf(request), safe: true,
	}, options)
}
