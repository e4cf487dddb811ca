package niyanta

import (
	"context"
	"iter"
	"net/http"
	"time"
)

// ActionOutcome says what became of an operator's action.
type ActionOutcome string

// The outcomes.
const (
	ActionSucceeded ActionOutcome = "succeeded"
	ActionRefused   ActionOutcome = "refused"
	ActionFailed    ActionOutcome = "failed"
	// ActionUnknown: it was begun, and whoever did it ended before its end was recorded.
	ActionUnknown ActionOutcome = "unknown"
)

// ActionKind says whether an action may have changed something.
type ActionKind string

// The kinds of actions.
const (
	ActionChange ActionKind = "change"
	ActionRead   ActionKind = "read"
)

// Protocol says by which way an operator came.
type Protocol string

// The protocols.
const (
	ProtocolREST Protocol = "rest"
	ProtocolGRPC Protocol = "grpc"
	// ProtocolCLI: a command of `niyanta admin` in the database itself.
	ProtocolCLI Protocol = "cli"
)

// OperatorAction is one thing that an operator did, or tried to.
type OperatorAction struct {
	ID string `json:"action_id"`
	// Action is the operation, such as drainWorker.
	Action    string    `json:"action"`
	Timestamp time.Time `json:"timestamp"`
	// ActorID is the key; of a command in the database, the user and machine.
	ActorID  string   `json:"actor_id"`
	Protocol Protocol `json:"protocol"`
	// Source is the address that it came from; empty when unknown.
	Source    string `json:"source"`
	RequestID string `json:"request_id"`
	// Target has the ids that it named.
	Target  map[string]string `json:"target"`
	Outcome ActionOutcome     `json:"outcome"`
	// ErrorCode says why it was refused or failed.
	ErrorCode *string `json:"error_code"`
	// Facts are what was done in particular: fields that were changed, ids that were made.
	Facts Object `json:"facts"`
}

// OperatorActionsRequest says which actions are wanted; empty fields don't choose.
type OperatorActionsRequest struct {
	// ActorID chooses what this key did.
	ActorID string `query:"actor_id"`
	// Action chooses one operation, such as drainWorker.
	Action string     `query:"action"`
	Kind   ActionKind `query:"kind"`
	// Target chooses what named or made the thing with this id.
	Target  string        `query:"target"`
	Outcome ActionOutcome `query:"outcome"`
	// Since is inclusive.
	Since *time.Time `query:"since"`
	// Until is exclusive.
	Until *time.Time `query:"until"`
	// Limit is how many a page has at most, 1 to 100; 50 when 0.
	Limit int `query:"limit"`
	// Cursor is that of the page before; the rest must be the same.
	Cursor string `query:"cursor"`
}

// OperatorActionsPage is one page of what operators did, the newest first.
type OperatorActionsPage struct {
	Actions    []*OperatorAction `json:"actions"`
	Pagination Pagination        `json:"pagination"`
}

// Audit returns one page of what operators did, the newest first; request may be nil. Reading it is an action, too.
func (s *AdminService) Audit(ctx context.Context, request *OperatorActionsRequest, options ...CallOption) (*OperatorActionsPage, error) {
	return send[OperatorActionsPage](ctx, s.transport, call{
		method: http.MethodGet, path: "/admin/audit", query: queryOf(request), safe: true,
	}, options)
}

// IterateAudit yields all that operators did, the newest first, page by page; request may be nil.
func (s *AdminService) IterateAudit(ctx context.Context, request *OperatorActionsRequest, options ...CallOption) iter.Seq2[*OperatorAction, error] {
	wanted := copied(request)
	if wanted.Limit == 0 {
		wanted.Limit = 100
	}
	return iteratePages(ctx, wanted.Cursor, func(cursor string) ([]*OperatorAction, Pagination, error) {
		page := wanted
		page.Cursor = cursor
		found, err := s.Audit(ctx, &page, options...)
		if err != nil {
			return nil, Pagination{}, err
		}
		return found.Actions, found.Pagination, nil
	})
}
