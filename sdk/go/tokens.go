package niyanta

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

// TokensService makes short-lived tokens of the client's own key: for a browser, a script, or one workload.
type TokensService struct{ transport *transport }

// Scope says what a key or a token may be used for.
type Scope string

// The scopes.
const (
	// ScopeWorkloadsRead: to read everything of the customer.
	ScopeWorkloadsRead Scope = "workloads:read"
	// ScopeWorkloadsWrite: to submit, pause, resume and cancel.
	ScopeWorkloadsWrite Scope = "workloads:write"
	// ScopeConfigsWrite: to make, change and delete configurations.
	ScopeConfigsWrite Scope = "configs:write"
	// ScopeAdmin: the calls of operators.
	ScopeAdmin Scope = "admin"
)

// Token is a token without its secret.
type Token struct {
	ID string `json:"token_id"`
	// KeyID is the key that it was made of.
	KeyID  string  `json:"key_id"`
	Scopes []Scope `json:"scopes"`
	// WorkloadID is the only workload that it is good for; nil for all.
	WorkloadID *string    `json:"workload_id"`
	CreatedAt  time.Time  `json:"created_at"`
	ExpiresAt  time.Time  `json:"expires_at"`
	LastUsedAt *time.Time `json:"last_used_at"`
	// LastUsedFrom is a network address.
	LastUsedFrom *string `json:"last_used_from"`
}

// CreatedToken is a new token; its secret is shown this once.
type CreatedToken struct {
	ID string `json:"token_id"`
	// Token is used as an API key is.
	Token      string    `json:"token"`
	Scopes     []Scope   `json:"scopes"`
	WorkloadID *string   `json:"workload_id"`
	CreatedAt  time.Time `json:"created_at"`
	ExpiresAt  time.Time `json:"expires_at"`
}

// String names the token and doesn't show it, so that it gets into no log.
func (t CreatedToken) String() string { return fmt.Sprintf("CreatedToken(%s)", t.ID) }

// CreateTokenRequest describes a new token.
type CreateTokenRequest struct {
	// Scopes are all that the key is for when empty.
	Scopes []Scope `json:"scopes,omitempty"`
	// WorkloadID is the only workload that it is to be good for; all when nil.
	WorkloadID *string `json:"workload_id,omitempty"`
	// ExpiresInSeconds is how long it is to be good, up to a day; an hour when nil. It ends with its key.
	ExpiresInSeconds *int `json:"expires_in_seconds,omitempty"`
}

// ListTokensRequest says how many tokens are wanted, the newest.
type ListTokensRequest struct {
	Limit int `query:"limit"`
}

// TokenList holds tokens that are good now, the newest first.
type TokenList struct {
	Tokens []*Token `json:"tokens"`
}

// Create makes a token; request may be nil. ErrForbidden: the key isn't for so much, or the client has a token itself.
func (s *TokensService) Create(ctx context.Context, request *CreateTokenRequest, options ...CallOption) (*CreatedToken, error) {
	return send[CreatedToken](ctx, s.transport, call{
		method: http.MethodPost, path: "/tokens", body: copied(request),
	}, options)
}

// List returns the key's tokens that are good now; request may be nil.
func (s *TokensService) List(ctx context.Context, request *ListTokensRequest, options ...CallOption) (*TokenList, error) {
	return send[TokenList](ctx, s.transport, call{
		method: http.MethodGet, path: "/tokens", query: queryOf(request), safe: true,
	}, options)
}

// Revoke ends a token of the key, or the one that the client uses itself.
func (s *TokensService) Revoke(ctx context.Context, tokenID string, options ...CallOption) error {
	return s.transport.call(ctx, call{
		method: http.MethodDelete, path: "/tokens/" + quoted(tokenID), safe: true,
	}, options, nil)
}
