package niyanta

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"testing"
	"time"
)

func TestEveryCodeIsItsKind(t *testing.T) {
	for code, kind := range kinds {
		for _, status := range []int{400, 401, 403, 404, 405, 408, 409, 413, 415, 500} {
			t.Run(fmt.Sprintf("%s %d", code, status), func(t *testing.T) {
				t.Parallel()
				s := newService(t)
				s.on("GET /customer", fails(status, code))
				_, err := s.client().Customer.Get(context.Background())
				var failure *APIError
				if !errors.As(err, &failure) {
					t.Fatalf("no *APIError: %v", err)
				}
				if failure.StatusCode != status || failure.Code != code || failure.Message != "No." ||
					failure.RequestID != "req_1" || failure.Details["field"] != "x" {
					t.Errorf("%+v", failure)
				}
				for other, otherKind := range kinds {
					if errors.Is(err, otherKind) != (other == code) {
						t.Errorf("errors.Is(%v, %v)", err, otherKind)
					}
				}
				if !errors.Is(err, kind) || len(s.got()) != 1 {
					t.Errorf("%v after %d tries", err, len(s.got()))
				}
				if want := fmt.Sprintf("niyanta: %s: No. (HTTP %d, request req_1)", code, status); err.Error() != want {
					t.Errorf("%q", err)
				}
			})
		}
	}
}

// What may be tried again: by the kind of call and of failure, the number of requests that are made.
func TestRetries(t *testing.T) {
	safe := func(c *Client) error {
		_, err := c.Workloads.Submit(context.Background(), submission)
		return err
	}
	unsafe := func(c *Client) error {
		_, err := c.Workloads.Cancel(context.Background(), "wl_1", nil)
		return err
	}
	for _, row := range []struct {
		name         string
		failure      http.HandlerFunc
		safe, unsafe bool
	}{
		{"429", fails(429, "RATE_LIMITED", "Retry-After", "0"), true, true},
		{"429 of a proxy", gives(429, "slow down"), true, true},
		{"502", gives(502, "<html>"), true, false},
		{"503", fails(503, "SERVICE_UNAVAILABLE"), true, false},
		{"504", gives(504, ""), true, false},
		{"broken", breaks, true, false},
		{"broken off", breaksOff, true, false},
		{"400", fails(400, "INVALID_INPUT"), false, false},
		{"401", fails(401, "UNAUTHORIZED"), false, false},
		{"409", fails(409, "CONFLICT"), false, false},
		{"500", fails(500, "INTERNAL_ERROR"), false, false},
		{"501", gives(501, ""), false, false},
		{"302", gives(302, ""), false, false},
	} {
		for _, kind := range []struct {
			name  string
			call  func(*Client) error
			path  string
			again bool
		}{
			{"safe", safe, "POST /workloads", row.safe},
			{"unsafe", unsafe, "POST /workloads/wl_1/cancel", row.unsafe},
		} {
			t.Run(row.name+" "+kind.name, func(t *testing.T) {
				t.Parallel()
				s := newService(t)
				s.on(kind.path, row.failure, row.failure, gives(202, submitted))
				err := kind.call(s.client(WithMaxRetries(2)))
				if want := map[bool]int{true: 3, false: 1}[kind.again]; len(s.got()) != want {
					t.Errorf("%d requests instead of %d", len(s.got()), want)
				}
				if (err == nil) != kind.again {
					t.Error(err)
				}

				s = newService(t)
				s.on(kind.path, row.failure)
				if err = kind.call(s.client(WithMaxRetries(2))); err == nil {
					t.Error("no error after the last retry")
				}
				if want := map[bool]int{true: 3, false: 1}[kind.again]; len(s.got()) != want {
					t.Errorf("%d requests instead of %d", len(s.got()), want)
				}
				if kind.call(s.client(WithMaxRetries(0))) == nil || len(s.got()) > 4 {
					t.Error("retries although they are off")
				}
			})
		}
	}
}

func TestASubmissionKeepsItsKeyAndItsBody(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.on("POST /workloads", breaks, fails(503, "SERVICE_UNAVAILABLE"), gives(202, submitted))
	client := s.client()
	workload, err := client.Workloads.Submit(context.Background(), submission)
	if err != nil || workload.ID != "wl_1" || workload.Status != StatusPending || workload.EstimatedStartTime != nil {
		t.Fatal(workload, err)
	}
	if _, err = client.Workloads.Submit(context.Background(), submission); err != nil {
		t.Fatal(err)
	}
	if _, err = client.Workloads.Submit(context.Background(), submission, WithIdempotencyKey("mine")); err != nil {
		t.Fatal(err)
	}
	got := s.got()
	key := got[0].header.Get("Idempotency-Key")
	if len(key) != 36 || got[1].header.Get("Idempotency-Key") != key || got[2].header.Get("Idempotency-Key") != key {
		t.Errorf("keys of one submission: %v", got[:3])
	}
	if other := got[3].header.Get("Idempotency-Key"); other == key || len(other) != 36 {
		t.Errorf("the key of another submission is %q", other)
	}
	if mine := got[4].header.Get("Idempotency-Key"); mine != "mine" {
		t.Errorf("the given key became %q", mine)
	}
	for _, request := range got {
		if request.body != `{"workload_type":"count","input_params":{"to":3}}` {
			t.Error(request.body)
		}
	}
}

func TestARemovalThatWasDoneUnheardIsDone(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.on("DELETE /workload-configs/c1", breaks, fails(404, "NOT_FOUND"))
	if err := s.client().Configs.Delete(context.Background(), "c1"); err != nil {
		t.Error(err)
	}
	s.on("DELETE /workload-configs/c1", fails(429, "RATE_LIMITED"), fails(404, "NOT_FOUND"))
	if err := s.client().Configs.Delete(context.Background(), "c1"); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
}

func TestRetryAfterIsHonoured(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.on("GET /customer", fails(503, "SERVICE_UNAVAILABLE", "Retry-After", "1"), gives(200, `{}`))
	begun := time.Now()
	if _, err := s.client().Customer.Get(context.Background()); err != nil {
		t.Fatal(err)
	}
	if passed := time.Since(begun); passed < time.Second {
		t.Errorf("tried again after %v", passed)
	}
}

func TestAVeryLongPauseIsTheCallersAffair(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.on("GET /customer", fails(503, "SERVICE_UNAVAILABLE", "Retry-After", "3600"))
	_, err := s.client().Customer.Get(context.Background())
	var failure *APIError
	if !errors.As(err, &failure) || failure.RetryAfter != time.Hour || len(s.got()) != 1 {
		t.Error(err)
	}
}

func TestRetryAfterIsReadInItsForms(t *testing.T) {
	now := time.Date(2025, 10, 27, 12, 0, 0, 0, time.UTC)
	for header, want := range map[string]time.Duration{
		"":                              0,
		"7":                             7 * time.Second,
		"0":                             0,
		"-1":                            0,
		"soon":                          0,
		"99999999999999999999":          0,
		"Mon, 27 Oct 2025 12:00:09 GMT": 9 * time.Second,
		"Mon, 27 Oct 2025 11:00:00 GMT": 0,
	} {
		if got := retryAfter(header, now); got != want {
			t.Errorf("%q: %v", header, got)
		}
	}
}

func TestAPauseBeyondTheDeadlineIsNotBegun(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.on("GET /customer", fails(429, "RATE_LIMITED", "Retry-After", "60"))
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	begun := time.Now()
	_, err := s.client().Customer.Get(ctx)
	var failure *APIError
	if !errors.As(err, &failure) || failure.RetryAfter != time.Minute || !errors.Is(err, ErrRateLimited) {
		t.Error(err)
	}
	if time.Since(begun) > 10*time.Second || ctx.Err() != nil {
		t.Error("it waited")
	}
}

func TestBackoffHasFullJitterAndABound(t *testing.T) {
	for attempt := range 64 {
		bound := min(longestBackoff, firstBackoff<<min(attempt, 10))
		least, most := time.Duration(math.MaxInt64), time.Duration(0)
		for range 2000 {
			pause := fullJitter(attempt)
			least, most = min(least, pause), max(most, pause)
		}
		if least < 0 || most >= bound || least > bound/20 || most < bound*19/20 {
			t.Errorf("attempt %d: %v to %v", attempt, least, most)
		}
	}
}
