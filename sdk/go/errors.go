package niyanta

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// The kinds of answers that aren't a success, for errors.Is. Each stands for one code of the service.
var (
	// ErrInvalidInput: the request itself is wrong; the details name the field and what is allowed.
	ErrInvalidInput = errors.New("niyanta: invalid input")
	// ErrInvalidState: not allowed in the workload's state; the details have current_status.
	ErrInvalidState = errors.New("niyanta: invalid state")
	// ErrUnauthorized: no credentials, or credentials that are unknown, expired or revoked.
	ErrUnauthorized = errors.New("niyanta: unauthorized")
	// ErrForbidden: the credentials are good but don't allow this.
	ErrForbidden = errors.New("niyanta: forbidden")
	// ErrNotFound: no such object, or another customer's; the two look the same.
	ErrNotFound = errors.New("niyanta: not found")
	// ErrConflict: it exists already, is in use, or its idempotency key came with another body.
	ErrConflict = errors.New("niyanta: conflict")
	// ErrRateLimited: too many requests; the error's RetryAfter says how long to wait.
	ErrRateLimited = errors.New("niyanta: rate limited")
	// ErrUnavailable: the queue is full, or a part of the service is away for the moment.
	ErrUnavailable = errors.New("niyanta: service unavailable")
	// ErrInternal: a defect in the service.
	ErrInternal = errors.New("niyanta: internal error")
)

// Errors of this package's own side, for errors.Is.
var (
	// ErrConfiguration: nothing says where the service is or which key to use, or what does is malformed.
	ErrConfiguration = errors.New("niyanta: configuration")
	// ErrMalformedAnswer: a success whose body isn't what the service sends, or is too large. Mostly the address
	// leads to something else.
	ErrMalformedAnswer = errors.New("niyanta: malformed answer")
)

var kinds = map[string]error{
	"INVALID_INPUT":       ErrInvalidInput,
	"INVALID_STATE":       ErrInvalidState,
	"UNAUTHORIZED":        ErrUnauthorized,
	"FORBIDDEN":           ErrForbidden,
	"NOT_FOUND":           ErrNotFound,
	"CONFLICT":            ErrConflict,
	"RATE_LIMITED":        ErrRateLimited,
	"SERVICE_UNAVAILABLE": ErrUnavailable,
	"INTERNAL_ERROR":      ErrInternal,
}

// APIError is an answer of the service that isn't a success.
type APIError struct {
	// StatusCode is that of HTTP.
	StatusCode int
	// Code is the service's, such as "NOT_FOUND"; empty when the answer wasn't in the service's form, as one by a
	// proxy isn't. Compare with errors.Is.
	Code string
	// Message is one sentence for people.
	Message string
	// Details says which field, what is allowed, and so on.
	Details Object
	// RequestID is the name of the request in the service's log.
	RequestID string
	// RetryAfter is how long to wait before trying again; 0 where the service didn't say.
	RetryAfter time.Duration

	body []byte
}

// Error returns the message with what is needed to ask about it.
func (e *APIError) Error() string {
	var text strings.Builder
	text.WriteString("niyanta: ")
	if e.Code != "" {
		text.WriteString(e.Code + ": ")
	}
	fmt.Fprintf(&text, "%s (HTTP %d", e.Message, e.StatusCode)
	if e.RequestID != "" {
		text.WriteString(", request " + e.RequestID)
	}
	text.WriteString(")")
	return text.String()
}

// Is reports whether target is the kind of this error's code.
func (e *APIError) Is(target error) bool { return e.Code != "" && kinds[e.Code] == target }

// ItemError says why one item of a batch was refused. It is an error itself, of the same kinds as [APIError].
type ItemError struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Details Object `json:"details"`
}

// Error returns code and message.
func (e *ItemError) Error() string { return "niyanta: " + e.Code + ": " + e.Message }

// Is reports whether target is the kind of this error's code.
func (e *ItemError) Is(target error) bool { return e.Code != "" && kinds[e.Code] == target }

// ConnectionError says that the service couldn't be reached, or the link broke before its answer was whole. Whether
// the service did what was asked is then unknown.
type ConnectionError struct {
	// URL is the service's address.
	URL string
	// Err is the cause.
	Err error
}

// Error names the address and the cause.
func (e *ConnectionError) Error() string {
	return fmt.Sprintf("niyanta: cannot reach the service at %s: %v", e.URL, e.Err)
}

// Unwrap returns the cause.
func (e *ConnectionError) Unwrap() error { return e.Err }

// staysBroken reports whether trying again can't mend it: the other side isn't who it should be, or speaks no TLS.
func (e *ConnectionError) staysBroken() bool {
	var stranger *tls.CertificateVerificationError
	return errors.As(e.Err, &stranger) || errors.Is(e.Err, http.ErrSchemeMismatch)
}

// FailedError says that a workload that was waited for ended FAILED.
type FailedError struct {
	Workload *Workload
}

// Error gives the workload's error message.
func (e *FailedError) Error() string {
	message := "no reason given"
	if e.Workload.ErrorMessage != nil {
		message = *e.Workload.ErrorMessage
	}
	return fmt.Sprintf("niyanta: workload %s failed: %s", e.Workload.ID, message)
}

// CancelledError says that a workload that was waited for ended CANCELLED.
type CancelledError struct {
	Workload *Workload
}

// Error names the workload.
func (e *CancelledError) Error() string {
	return fmt.Sprintf("niyanta: workload %s was cancelled", e.Workload.ID)
}

type errorEnvelope struct {
	Error *errorBody `json:"error"`
}

type errorBody struct {
	Code      string `json:"code"`
	Message   string `json:"message"`
	Details   Object `json:"details"`
	RequestID string `json:"request_id"`
}

// newAPIError reads an answer that isn't a success, in whatever form it came.
func newAPIError(status int, header http.Header, body []byte, now time.Time) *APIError {
	failure := &APIError{
		StatusCode: status,
		RequestID:  header.Get("X-Request-ID"),
		RetryAfter: retryAfter(header.Get("Retry-After"), now),
		body:       body,
	}
	var envelope errorEnvelope
	if json.Unmarshal(body, &envelope) == nil && envelope.Error != nil && envelope.Error.Code != "" {
		found := envelope.Error
		failure.Code, failure.Message, failure.Details = found.Code, found.Message, found.Details
		if found.RequestID != "" {
			failure.RequestID = found.RequestID
		}
		return failure
	}
	switch status {
	case http.StatusTooManyRequests:
		failure.Code = "RATE_LIMITED"
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		failure.Code = "SERVICE_UNAVAILABLE"
	}
	failure.Message = fmt.Sprintf("the answer is %d %s, not in the service's form", status, http.StatusText(status))
	if failure.Code == "" {
		failure.Message += "; does the base URL lead to the service?"
	}
	return failure
}

// retryAfter reads the header's two forms (RFC 9110, 10.2.3); 0 when it is absent, malformed or past.
func retryAfter(header string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseUint(header, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(header); err == nil && at.After(now) {
		return at.Sub(now)
	}
	return 0
}
