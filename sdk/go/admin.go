package niyanta

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"time"
)

// AdminService is for operators. Its calls need a key with the admin role; to others they are ErrForbidden.
type AdminService struct{ transport *transport }

// WorkerStatus says how a worker is.
type WorkerStatus string

// The states of a worker.
const (
	WorkerHealthy WorkerStatus = "HEALTHY"
	// WorkerDraining: it gets nothing new.
	WorkerDraining WorkerStatus = "DRAINING"
	WorkerDead     WorkerStatus = "DEAD"
)

// Worker is one registered worker.
type Worker struct {
	ID     string       `json:"worker_id"`
	Status WorkerStatus `json:"status"`
	// Capabilities are the workload types that it serves.
	Capabilities []string `json:"capabilities"`
	// InputForms says, by workload type, which version of its input the worker's handler takes: a digest of the
	// JSON Schema of its parameters, or "any".
	InputForms map[string]string `json:"input_forms"`
	// MissingWalls says what doesn't keep handlers in on the worker's machine: walls of the box that each of their
	// processes is in.
	MissingWalls []string `json:"missing_walls"`
	// Customers are the only ones whose workloads it gets, by its join token; empty for everybody's.
	Customers []string `json:"customers"`
	// CapacityTotal is how many workloads it runs at once.
	CapacityTotal    int               `json:"capacity_total"`
	CapacityUsed     int               `json:"capacity_used"`
	Tags             map[string]string `json:"tags"`
	LastHeartbeat    time.Time         `json:"last_heartbeat"`
	RunningWorkloads []string          `json:"running_workloads"`
	// Version is that of its program.
	Version      string    `json:"version"`
	RegisteredAt time.Time `json:"registered_at"`
	// StandingOrder is nil when there is none.
	StandingOrder *StandingOrder `json:"standing_order"`
}

// OrderKind says what an operator has ordered for a worker's id.
type OrderKind string

// The kinds of orders.
const (
	// OrderDrain: it gets nothing new.
	OrderDrain OrderKind = "drain"
	// OrderRemove: it may not register.
	OrderRemove OrderKind = "remove"
)

// StandingOrder is what an operator has ordered for a worker's id. It holds over the worker's restarts.
type StandingOrder struct {
	Kind OrderKind `json:"kind"`
	// GivenBy is the id of the key that it was given with.
	GivenBy string    `json:"given_by"`
	GivenAt time.Time `json:"given_at"`
	// Mode is a drain's; nil of a removal.
	Mode *DrainMode `json:"mode"`
}

// ListWorkersRequest says which workers are wanted; empty fields don't choose.
type ListWorkersRequest struct {
	Status WorkerStatus `query:"status"`
	// Limit is how many a page has at most.
	Limit int `query:"limit"`
	// Offset asks for a page by the number of those before it; not together with Cursor.
	Offset *int `query:"offset"`
	// Cursor is that of the page before.
	Cursor string `query:"cursor"`
}

// WorkersPage is one page of workers.
type WorkersPage struct {
	Workers    []*Worker  `json:"workers"`
	Pagination Pagination `json:"pagination"`
}

// WorkerState is the answer to a change of a worker's status.
type WorkerState struct {
	ID     string       `json:"worker_id"`
	Status WorkerStatus `json:"status"`
}

// ListWorkers returns one page of the registered workers; request may be nil.
func (s *AdminService) ListWorkers(ctx context.Context, request *ListWorkersRequest, options ...CallOption) (*WorkersPage, error) {
	return send[WorkersPage](ctx, s.transport, call{
		method: http.MethodGet, path: "/admin/workers", query: queryOf(request), safe: true,
	}, options)
}

// IterateWorkers yields all workers that fit, page by page; request may be nil.
func (s *AdminService) IterateWorkers(ctx context.Context, request *ListWorkersRequest, options ...CallOption) iter.Seq2[*Worker, error] {
	wanted := copied(request)
	return iteratePages(ctx, wanted.Cursor, func(cursor string) ([]*Worker, Pagination, error) {
		page := wanted
		if page.Cursor = cursor; cursor != "" {
			page.Offset = nil
		}
		found, err := s.ListWorkers(ctx, &page, options...)
		if err != nil {
			return nil, Pagination{}, err
		}
		return found.Workers, found.Pagination, nil
	})
}

// DrainMode says what becomes of what a drained worker runs.
type DrainMode string

// The modes of a drain.
const (
	// DrainFinish: it runs to its end there.
	DrainFinish DrainMode = "finish"
	// DrainMove: it goes on elsewhere, from its next checkpoint; what can't, finishes.
	DrainMove DrainMode = "move"
)

// DrainWorkerRequest says how to drain a worker.
type DrainWorkerRequest struct {
	// Mode is DrainFinish when nil.
	Mode *DrainMode `json:"mode,omitempty"`
}

// Drain is a worker's drain, and how far it has come.
type Drain struct {
	WorkerID string       `json:"worker_id"`
	Status   WorkerStatus `json:"status"`
	Mode     DrainMode    `json:"mode"`
	// GivenBy is the API key that it was first given with.
	GivenBy string    `json:"given_by"`
	GivenAt time.Time `json:"given_at"`
	// Remaining is how many workloads the worker has still.
	Remaining int                `json:"remaining"`
	Workloads []*DrainedWorkload `json:"workloads"`
}

// DrainedWorkload is what has become of one workload that a worker had when it was drained.
type DrainedWorkload struct {
	CustomerID string `json:"customer_id"`
	ID         string `json:"workload_id"`
	Type       string `json:"workload_type"`
	// Attempt is the one that the worker had.
	Attempt int `json:"attempt"`
	// Outcome is "running" or "moving" while it is still there; else "waiting", "moved", "paused" or "finished".
	Outcome string `json:"outcome"`
	// Reason says why it is still there, or how it left without a checkpoint.
	Reason *string `json:"reason"`
	Status Status  `json:"status"`
	// MovedTo is the worker that was given its next attempt.
	MovedTo *string `json:"moved_to"`
	// CheckpointSequence is the checkpoint that it went on from; of one that is still there the newest.
	CheckpointSequence *int64 `json:"checkpoint_sequence"`
	// SecondsLost of running time are done again elsewhere; 0 when it moved at a checkpoint.
	SecondsLost float64 `json:"seconds_lost"`
}

// DrainWorker has a worker get nothing new, also after a restart, until UndrainWorker; request may be nil.
func (s *AdminService) DrainWorker(ctx context.Context, workerID string, request *DrainWorkerRequest, options ...CallOption) (*Drain, error) {
	wanted := copied(request)
	return send[Drain](ctx, s.transport, call{
		method: http.MethodPost, path: "/admin/workers/" + quoted(workerID) + "/drain", body: &wanted, safe: true,
	}, options)
}

// WorkerDrain tells how far a worker's drain has come. ErrNotFound: no operator drains it.
func (s *AdminService) WorkerDrain(ctx context.Context, workerID string, options ...CallOption) (*Drain, error) {
	return send[Drain](ctx, s.transport, call{
		method: http.MethodGet, path: "/admin/workers/" + quoted(workerID) + "/drain", safe: true,
	}, options)
}

// UndrainWorker takes a worker's drain or removal back. Its status is WorkerDead when it isn't there now; it may come
// back. ErrNotFound: nothing was ordered for this id.
func (s *AdminService) UndrainWorker(ctx context.Context, workerID string, options ...CallOption) (*WorkerState, error) {
	return send[WorkerState](ctx, s.transport, call{
		method: http.MethodPost, path: "/admin/workers/" + quoted(workerID) + "/undrain",
	}, options)
}

// RemoveWorker takes everything away from a worker, at once; it may not register again until UndrainWorker.
func (s *AdminService) RemoveWorker(ctx context.Context, workerID string, options ...CallOption) error {
	return s.transport.call(ctx, call{
		method: http.MethodDelete, path: "/admin/workers/" + quoted(workerID), safe: true,
	}, options, nil)
}

// Customer is a customer's account, as operators see it.
type Customer struct {
	ID        string         `json:"customer_id"`
	Name      string         `json:"name"`
	Tier      Tier           `json:"tier"`
	Status    CustomerStatus `json:"status"`
	Limits    Limits         `json:"limits"`
	CreatedAt time.Time      `json:"created_at"`
}

// LimitsRequest gives a customer figures of its own. A nil field leaves what is; Null is the tier's figure again.
type LimitsRequest struct {
	MaxConcurrentWorkloads *Nullable[int]     `json:"max_concurrent_workloads,omitempty"`
	MaxQueueDepth          *Nullable[int]     `json:"max_queue_depth,omitempty"`
	RateLimitPerSec        *Nullable[float64] `json:"rate_limit_per_sec,omitempty"`
	Burst                  *Nullable[int]     `json:"burst,omitempty"`
}

// CreateCustomerRequest describes a new customer.
type CreateCustomerRequest struct {
	Name string `json:"name"`
	// ID is "cust_…"; made when empty.
	ID string `json:"customer_id,omitempty"`
	// Tier is free when empty.
	Tier   Tier           `json:"tier,omitempty"`
	Limits *LimitsRequest `json:"limits,omitempty"`
}

// UpdateCustomerRequest changes what it gives and leaves the rest.
type UpdateCustomerRequest struct {
	Name   string         `json:"name,omitempty"`
	Tier   Tier           `json:"tier,omitempty"`
	Limits *LimitsRequest `json:"limits,omitempty"`
	Status CustomerStatus `json:"status,omitempty"`
}

// ListCustomersRequest says which page of the customers is wanted.
type ListCustomersRequest struct {
	// Limit is how many a page has at most.
	Limit int `query:"limit"`
	// Offset asks for a page by the number of those before it; not together with Cursor.
	Offset *int `query:"offset"`
	// Cursor is that of the page before.
	Cursor string `query:"cursor"`
}

// CustomersPage is one page of customers.
type CustomersPage struct {
	Customers  []*Customer `json:"customers"`
	Pagination Pagination  `json:"pagination"`
}

// CreateCustomer adds a customer. ErrConflict: the id is taken.
func (s *AdminService) CreateCustomer(ctx context.Context, request *CreateCustomerRequest, options ...CallOption) (*Customer, error) {
	return send[Customer](ctx, s.transport, call{
		method: http.MethodPost, path: "/admin/customers", body: request,
	}, options)
}

// ListCustomers returns one page of customers; request may be nil.
func (s *AdminService) ListCustomers(ctx context.Context, request *ListCustomersRequest, options ...CallOption) (*CustomersPage, error) {
	return send[CustomersPage](ctx, s.transport, call{
		method: http.MethodGet, path: "/admin/customers", query: queryOf(request), safe: true,
	}, options)
}

// IterateCustomers yields all customers, page by page; request may be nil.
func (s *AdminService) IterateCustomers(ctx context.Context, request *ListCustomersRequest, options ...CallOption) iter.Seq2[*Customer, error] {
	wanted := copied(request)
	return iteratePages(ctx, wanted.Cursor, func(cursor string) ([]*Customer, Pagination, error) {
		page := wanted
		if page.Cursor = cursor; cursor != "" {
			page.Offset = nil
		}
		found, err := s.ListCustomers(ctx, &page, options...)
		if err != nil {
			return nil, Pagination{}, err
		}
		return found.Customers, found.Pagination, nil
	})
}

// GetCustomer returns one customer.
func (s *AdminService) GetCustomer(ctx context.Context, customerID string, options ...CallOption) (*Customer, error) {
	return send[Customer](ctx, s.transport, call{
		method: http.MethodGet, path: "/admin/customers/" + quoted(customerID), safe: true,
	}, options)
}

// UpdateCustomer changes the fields that are given.
func (s *AdminService) UpdateCustomer(ctx context.Context, customerID string, request *UpdateCustomerRequest, options ...CallOption) (*Customer, error) {
	return send[Customer](ctx, s.transport, call{
		method: http.MethodPatch, path: "/admin/customers/" + quoted(customerID), body: request, safe: true,
	}, options)
}

// KeyRole says what a key is for.
type KeyRole string

// The roles of a key.
const (
	KeyRoleCustomer KeyRole = "customer"
	KeyRoleAdmin    KeyRole = "admin"
)

// KeyStatus says whether a key is good.
type KeyStatus string

// The states of a key.
const (
	KeyActive  KeyStatus = "active"
	KeyExpired KeyStatus = "expired"
	KeyRevoked KeyStatus = "revoked"
)

// Key is an API key without its secret.
type Key struct {
	ID         string  `json:"key_id"`
	CustomerID string  `json:"customer_id"`
	Name       string  `json:"name"`
	Role       KeyRole `json:"role"`
	// Scopes say what it may be used for.
	Scopes     []Scope    `json:"scopes"`
	Status     KeyStatus  `json:"status"`
	CreatedAt  time.Time  `json:"created_at"`
	ExpiresAt  *time.Time `json:"expires_at"`
	RevokedAt  *time.Time `json:"revoked_at"`
	LastUsedAt *time.Time `json:"last_used_at"`
	// LastUsedFrom is a network address.
	LastUsedFrom *string `json:"last_used_from"`
}

// CreatedKey is a new API key; its secret is shown this once.
type CreatedKey struct {
	ID string `json:"key_id"`
	// APIKey is the key itself.
	APIKey     string     `json:"api_key"`
	CustomerID string     `json:"customer_id"`
	Name       string     `json:"name"`
	Role       KeyRole    `json:"role"`
	Scopes     []Scope    `json:"scopes"`
	CreatedAt  time.Time  `json:"created_at"`
	ExpiresAt  *time.Time `json:"expires_at"`
}

// String names the key and doesn't show it, so that it gets into no log.
func (k CreatedKey) String() string { return fmt.Sprintf("CreatedKey(%s %q)", k.ID, k.Name) }

// CreateKeyRequest describes a new key.
type CreateKeyRequest struct {
	Name string `json:"name"`
	// Role is customer when empty.
	Role KeyRole `json:"role,omitempty"`
	// ExpiresAt is never when nil.
	ExpiresAt *time.Time `json:"expires_at,omitempty"`
	// Scopes are all that the role may do when empty.
	Scopes []Scope `json:"scopes,omitempty"`
}

// RotateKeyRequest says how a key is replaced.
type RotateKeyRequest struct {
	// OverlapSeconds is how long the key stays good beside the new one, up to 30 days; a day when nil.
	OverlapSeconds *int `json:"overlap_seconds,omitempty"`
}

// ListKeysRequest says which page of a customer's keys is wanted.
type ListKeysRequest struct {
	// Limit is how many a page has at most.
	Limit int `query:"limit"`
	// Offset asks for a page by the number of those before it; not together with Cursor.
	Offset *int `query:"offset"`
	// Cursor is that of the page before.
	Cursor string `query:"cursor"`
}

// KeysPage is one page of keys.
type KeysPage struct {
	Keys       []*Key     `json:"api_keys"`
	Pagination Pagination `json:"pagination"`
}

// CreateKey makes an API key.
func (s *AdminService) CreateKey(ctx context.Context, customerID string, request *CreateKeyRequest, options ...CallOption) (*CreatedKey, error) {
	return send[CreatedKey](ctx, s.transport, call{
		method: http.MethodPost, path: keysPath(customerID), body: request,
	}, options)
}

// ListKeys returns one page of a customer's keys; request may be nil.
func (s *AdminService) ListKeys(ctx context.Context, customerID string, request *ListKeysRequest, options ...CallOption) (*KeysPage, error) {
	return send[KeysPage](ctx, s.transport, call{
		method: http.MethodGet, path: keysPath(customerID), query: queryOf(request), safe: true,
	}, options)
}

// IterateKeys yields all of a customer's keys, page by page; request may be nil.
func (s *AdminService) IterateKeys(ctx context.Context, customerID string, request *ListKeysRequest, options ...CallOption) iter.Seq2[*Key, error] {
	wanted := copied(request)
	return iteratePages(ctx, wanted.Cursor, func(cursor string) ([]*Key, Pagination, error) {
		page := wanted
		if page.Cursor = cursor; cursor != "" {
			page.Offset = nil
		}
		found, err := s.ListKeys(ctx, customerID, &page, options...)
		if err != nil {
			return nil, Pagination{}, err
		}
		return found.Keys, found.Pagination, nil
	})
}

// RotateKey makes a key that takes the place of another, which stays good for a while; request may be nil.
func (s *AdminService) RotateKey(ctx context.Context, customerID, keyID string, request *RotateKeyRequest, options ...CallOption) (*CreatedKey, error) {
	return send[CreatedKey](ctx, s.transport, call{
		method: http.MethodPost, path: keysPath(customerID) + "/" + quoted(keyID) + "/rotate", body: copied(request),
	}, options)
}

// ListTokens returns a customer's tokens that are good now, of all its keys; request may be nil.
func (s *AdminService) ListTokens(ctx context.Context, customerID string, request *ListTokensRequest, options ...CallOption) (*TokenList, error) {
	return send[TokenList](ctx, s.transport, call{
		method: http.MethodGet, path: "/admin/customers/" + quoted(customerID) + "/tokens", query: queryOf(request), safe: true,
	}, options)
}

// RevokeKey ends a key for ever, with the tokens made of it, or one token.
func (s *AdminService) RevokeKey(ctx context.Context, customerID, keyID string, options ...CallOption) error {
	return s.transport.call(ctx, call{
		method: http.MethodDelete, path: keysPath(customerID) + "/" + quoted(keyID), safe: true,
	}, options, nil)
}

func keysPath(customerID string) string {
	return "/admin/customers/" + quoted(customerID) + "/api-keys"
}
