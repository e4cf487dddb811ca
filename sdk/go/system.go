package niyanta

import (
	"context"
	"net/http"
	"time"
)

// SystemState is how the system is, as the coordinator that answers sees it. What comes from the database is empty while
// that doesn't answer.
type SystemState struct {
	// CoordinatorID is who answers.
	CoordinatorID string `json:"coordinator_id"`
	Version       string `json:"version"`
	// Watchers are requests and streams that wait for changes at this coordinator.
	Watchers int           `json:"watchers"`
	Leader   LeaderState   `json:"leader"`
	Database DatabaseState `json:"database"`
	Broker   BrokerState   `json:"broker"`
	// Workers is how many there are, by status.
	Workers map[WorkerStatus]int `json:"workers"`
	// Slots are those of live workers.
	Slots int `json:"slots"`
	// Queues are by tier.
	Queues     []*QueueState     `json:"queues"`
	Partitions []*PartitionState `json:"partitions"`
}

// LeaderState says who leads.
type LeaderState struct {
	// CoordinatorID is nil while nobody leads.
	CoordinatorID *string `json:"coordinator_id"`
	// Epoch grows with each election.
	Epoch int64 `json:"epoch"`
	// Lanes of the queue have something ready; nil unless the coordinator that answers leads.
	Lanes *int `json:"lanes"`
	// UpkeepAt is that of the last whole round of upkeep; nil unless the coordinator that answers leads.
	UpkeepAt *time.Time `json:"upkeep_at"`
}

// DatabaseState is PostgreSQL, as the coordinator sees it.
type DatabaseState struct {
	IsConnected bool `json:"is_connected"`
	// Failures are counted since the coordinator started.
	Failures int          `json:"failures"`
	Pools    []*PoolState `json:"pools"`
}

// PoolState is one pool of connections to the database.
type PoolState struct {
	Name  string `json:"name"`
	InUse int    `json:"in_use"`
	Open  int    `json:"open"`
	Most  int    `json:"most"`
}

// BrokerState is NATS, as the coordinator sees it.
type BrokerState struct {
	IsConnected bool `json:"is_connected"`
	// Interruptions are counted since the coordinator started.
	Interruptions int `json:"interruptions"`
}

// QueueState is what a tier has under way.
type QueueState struct {
	Tier    Tier `json:"tier"`
	Queued  int  `json:"queued"`
	Running int  `json:"running"`
	// OldestSeconds is how long ago the oldest that waits was submitted.
	OldestSeconds float64 `json:"oldest_seconds"`
}

// PartitionState says how long a table has partitions for what comes.
type PartitionState struct {
	Table        string  `json:"table"`
	AheadSeconds float64 `json:"ahead_seconds"`
}

// Fairness says who gets what. Turns go by run-seconds, so at one moment a customer may have more or less than it
// deserves.
type Fairness struct {
	// Slots are those of workers that take new workloads.
	Slots int `json:"slots"`
	// Customers are those with something under way, the most first.
	Customers []*CustomerShare `json:"customers"`
}

// CustomerShare is what a customer has of the slots, and what it deserves at the same moment.
type CustomerShare struct {
	CustomerID string `json:"customer_id"`
	Name       string `json:"name"`
	Tier       Tier   `json:"tier"`
	// Weight is that of its tier.
	Weight                 int `json:"weight"`
	Running                int `json:"running"`
	Queued                 int `json:"queued"`
	MaxConcurrentWorkloads int `json:"max_concurrent_workloads"`
	// Deserved are slots: dealt out by weight among all that want some, to each no more than it could use.
	Deserved float64 `json:"deserved"`
}

// System tells who leads, how the engines are, how many workers there are, and what waits.
func (s *AdminService) System(ctx context.Context, options ...CallOption) (*SystemState, error) {
	return send[SystemState](ctx, s.transport, call{
		method: http.MethodGet, path: "/admin/system", safe: true,
	}, options)
}

// Fairness tells each customer's share of the slots against what it deserves, of those with something under way.
func (s *AdminService) Fairness(ctx context.Context, options ...CallOption) (*Fairness, error) {
	return send[Fairness](ctx, s.transport, call{
		method: http.MethodGet, path: "/admin/fairness", safe: true,
	}, options)
}
