package niyanta

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"time"
)

// JoinToken is a join token of workers without its secret.
type JoinToken struct {
	ID   string `json:"token_id"`
	Name string `json:"name"`
	// WorkerPattern is what the ids of its workers look like; * stands for any characters.
	WorkerPattern string `json:"worker_pattern"`
	// WorkloadTypes are all that its workers may serve; empty for every type.
	WorkloadTypes []string `json:"workload_types"`
	// Tags are all that its workers may have; empty for any.
	Tags map[string]string `json:"tags"`
	// Customers are the only ones whose workloads its workers get; empty for everybody's.
	Customers []string `json:"customers"`
	// Status is one of those of a key.
	Status    KeyStatus  `json:"status"`
	CreatedAt time.Time  `json:"created_at"`
	ExpiresAt *time.Time `json:"expires_at"`
	RevokedAt *time.Time `json:"revoked_at"`
}

// CreatedJoinToken is a new join token; its secret is shown this once.
type CreatedJoinToken struct {
	ID string `json:"token_id"`
	// JoinToken is what workers come in with.
	JoinToken     string            `json:"join_token"`
	Name          string            `json:"name"`
	WorkerPattern string            `json:"worker_pattern"`
	WorkloadTypes []string          `json:"workload_types"`
	Tags          map[string]string `json:"tags"`
	Customers     []string          `json:"customers"`
	CreatedAt     time.Time         `json:"created_at"`
	ExpiresAt     *time.Time        `json:"expires_at"`
}

// String names the token and doesn't show it, so that it gets into no log.
func (t CreatedJoinToken) String() string {
	return fmt.Sprintf("CreatedJoinToken(%s %q)", t.ID, t.Name)
}

// CreateJoinTokenRequest describes a new join token; what is empty doesn't bound its workers.
type CreateJoinTokenRequest struct {
	Name string `json:"name"`
	// WorkerPattern is what the ids of its workers look like; * stands for any characters.
	WorkerPattern string `json:"worker_pattern,omitempty"`
	// WorkloadTypes are all that its workers may serve.
	WorkloadTypes []string `json:"workload_types,omitempty"`
	// Tags are all that its workers may have.
	Tags map[string]string `json:"tags,omitempty"`
	// Customers are the only ones whose workloads its workers get.
	Customers []string `json:"customers,omitempty"`
	// ExpiresAt is never when nil.
	ExpiresAt *time.Time `json:"expires_at,omitempty"`
}

// ListJoinTokensRequest says which page of the join tokens is wanted.
type ListJoinTokensRequest struct {
	// Limit is how many a page has at most.
	Limit int `query:"limit"`
	// Offset asks for a page by the number of those before it; not together with Cursor.
	Offset *int `query:"offset"`
	// Cursor is that of the page before.
	Cursor string `query:"cursor"`
}

// JoinTokensPage is one page of join tokens, the oldest first.
type JoinTokensPage struct {
	JoinTokens []*JoinToken `json:"join_tokens"`
	Pagination Pagination   `json:"pagination"`
}

// CreateJoinToken makes a join token.
func (s *AdminService) CreateJoinToken(ctx context.Context, request *CreateJoinTokenRequest, options ...CallOption) (*CreatedJoinToken, error) {
	return send[CreatedJoinToken](ctx, s.transport, call{
		method: http.MethodPost, path: "/admin/join-tokens", body: request,
	}, options)
}

// ListJoinTokens returns one page of the join tokens, the ended ones included; request may be nil.
func (s *AdminService) ListJoinTokens(ctx context.Context, request *ListJoinTokensRequest, options ...CallOption) (*JoinTokensPage, error) {
	return send[JoinTokensPage](ctx, s.transport, call{
		method: http.MethodGet, path: "/admin/join-tokens", query: queryOf(request), safe: true,
	}, options)
}

// IterateJoinTokens yields all join tokens, page by page; request may be nil.
func (s *AdminService) IterateJoinTokens(ctx context.Context, request *ListJoinTokensRequest, options ...CallOption) iter.Seq2[*JoinToken, error] {
	wanted := copied(request)
	return iteratePages(ctx, wanted.Cursor, func(cursor string) ([]*JoinToken, Pagination, error) {
		page := wanted
		if page.Cursor = cursor; cursor != "" {
			page.Offset = nil
		}
		found, err := s.ListJoinTokens(ctx, &page, options...)
		if err != nil {
			return nil, Pagination{}, err
		}
		return found.JoinTokens, found.Pagination, nil
	})
}

// RevokeJoinToken ends a join token for ever; the workers that came in with it are out within seconds.
func (s *AdminService) RevokeJoinToken(ctx context.Context, tokenID string, options ...CallOption) error {
	return s.transport.call(ctx, call{
		method: http.MethodDelete, path: "/admin/join-tokens/" + quoted(tokenID), safe: true,
	}, options, nil)
}
