package niyanta

import (
	"context"
	"net/http"
	"time"
)

// SessionKind says what somebody is in with.
type SessionKind string

// The kinds of sessions.
const (
	SessionKey SessionKind = "api_key"
	// SessionToken is made of a key; also what a browser holds that is signed in to the console.
	SessionToken SessionKind = "api_token"
	// SessionJSONWebToken: all of one subject.
	SessionJSONWebToken SessionKind = "json_web_token"
)

// Session is a credential that is good now.
type Session struct {
	// ID is by which it is ended: a key's or a token's id, or a subject's.
	ID         string      `json:"session_id"`
	CustomerID string      `json:"customer_id"`
	Kind       SessionKind `json:"kind"`
	// Name is a key's name, or a JSON Web Token's subject.
	Name string  `json:"name"`
	Role KeyRole `json:"role"`
	// KeyID is the key that a token was made of.
	KeyID *string `json:"key_id"`
	// WorkloadID is the only workload that it is good for; nil for all.
	WorkloadID *string `json:"workload_id"`
	// BeganAt is when it was made; of a subject, when it first came.
	BeganAt   time.Time  `json:"began_at"`
	ExpiresAt *time.Time `json:"expires_at"`
	// LastUsedAt is right within a minute.
	LastUsedAt *time.Time `json:"last_used_at"`
	// LastUsedFrom is a network address.
	LastUsedFrom *string `json:"last_used_from"`
}

// ListSessionsRequest says which sessions are wanted; empty fields don't choose.
type ListSessionsRequest struct {
	CustomerID string      `query:"customer_id"`
	Kind       SessionKind `query:"kind"`
	// UsedWithinSeconds chooses what was used so lately.
	UsedWithinSeconds int `query:"used_within_seconds"`
	// Limit is how many at most, 1 to 1000; 50 when 0.
	Limit int `query:"limit"`
}

// SessionList holds credentials that are good now, those used last first.
type SessionList struct {
	Sessions []*Session `json:"sessions"`
}

// ListSessions returns who is in; request may be nil.
func (s *AdminService) ListSessions(ctx context.Context, request *ListSessionsRequest, options ...CallOption) (*SessionList, error) {
	return send[SessionList](ctx, s.transport, call{
		method: http.MethodGet, path: "/admin/sessions", query: queryOf(request), safe: true,
	}, options)
}

// RevokeSession ends a key with its tokens, a token, or all JSON Web Tokens that a subject was given so far.
func (s *AdminService) RevokeSession(ctx context.Context, sessionID string, options ...CallOption) error {
	return s.transport.call(ctx, call{
		method: http.MethodDelete, path: "/admin/sessions/" + quoted(sessionID), safe: true,
	}, options, nil)
}
