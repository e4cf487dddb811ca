package niyanta

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

const submitted = `{"workload_id": "wl_1", "status": "PENDING", "created_at": "2025-10-27T12:34:56.000Z", ` +
	`"estimated_start_time": null, "version": 1}`

var submission = &SubmitWorkloadRequest{WorkloadType: "count", InputParams: Object{"to": 3}}

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

func TestATryHasATimeout(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.on("GET /customer", hangs, gives(200, `{"name": "Acme"}`))
	account, err := s.client(WithTimeout(50 * time.Millisecond)).Customer.Get(context.Background())
	if err != nil || account.Name != "Acme" || len(s.got()) != 2 {
		t.Error(account, err)
	}
	s.on("GET /customer", hangs)
	_, err = s.client(WithTimeout(20*time.Millisecond), WithMaxRetries(1)).Customer.Get(context.Background())
	var broken *ConnectionError
	if !errors.As(err, &broken) || errors.Is(err, context.DeadlineExceeded) || broken.URL != s.URL {
		t.Errorf("not told from the end of the caller's context: %v", err)
	}
}

func TestTheContextEndsACall(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]http.HandlerFunc{
		"while the answer is awaited": hangs,
		"between the tries":           fails(503, "SERVICE_UNAVAILABLE", "Retry-After", "250"),
		"while the body is read": func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, "{")
			w.(http.Flusher).Flush()
			hangs(w, r)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newService(t)
			asked := make(chan struct{})
			s.on("GET /customer", func(w http.ResponseWriter, r *http.Request) {
				close(asked)
				answer(w, r)
			})
			reason := errors.New("the user left")
			ctx, cancel := context.WithCancelCause(context.Background())
			go func() {
				<-asked
				cancel(reason)
			}()
			_, err := s.client().Customer.Get(ctx)
			if !errors.Is(err, context.Canceled) || !errors.Is(err, reason) {
				t.Error(err)
			}
		})
	}
	t.Run("before it begins", func(t *testing.T) {
		s := newService(t)
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if _, err := s.client().Customer.Get(ctx); !errors.Is(err, context.Canceled) || len(s.got()) != 0 {
			t.Error(err)
		}
	})
	t.Run("by its deadline", func(t *testing.T) {
		s := newService(t)
		s.on("GET /customer", hangs)
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Millisecond)
		defer cancel()
		if _, err := s.client().Customer.Get(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
}

func TestNobodyListens(t *testing.T) {
	s := httptest.NewServer(nil)
	s.Close()
	client := NewClient(testKey, WithBaseURL(s.URL), WithMaxRetries(1))
	_, err := client.Workloads.Get(context.Background(), "wl_1")
	var broken *ConnectionError
	if !errors.As(err, &broken) || !strings.Contains(err.Error(), "connection refused") || strings.Contains(err.Error(), testKey) {
		t.Error(err)
	}
	if _, err = client.Workloads.WaitForCompletion(context.Background(), "wl_1"); !errors.As(err, &broken) {
		t.Error(err)
	}
}

func TestMalformedAnswers(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]http.HandlerFunc{
		"HTML":           gives(200, "<html>It works!</html>"),
		"nothing":        gives(200, ""),
		"another type":   gives(200, `{"version": "x"}`),
		"an array":       gives(200, `[]`),
		"a bad time":     gives(200, `{"created_at": "yesterday"}`),
		"half an object": gives(200, `{"version": 1`),
		"too much":       gives(200, `{"error_message": "`+strings.Repeat("x", 2000)+`"}`),
	} {
		t.Run(name, func(t *testing.T) {
			s := newService(t)
			s.on("GET /workloads/wl_1", answer)
			_, err := s.client(WithMaxResponseBytes(1000)).Workloads.Get(context.Background(), "wl_1")
			if !errors.Is(err, ErrMalformedAnswer) || len(s.got()) != 1 {
				t.Error(err)
			}
		})
	}
	for name, answer := range map[string]http.HandlerFunc{
		"HTML":            gives(404, "<html>Not found</html>"),
		"another form":    gives(404, `{"error": "not found"}`),
		"without a code":  gives(404, `{"error": {"message": "x"}}`),
		"an endless page": gives(404, strings.Repeat("x", 3<<20)),
	} {
		t.Run("error as "+name, func(t *testing.T) {
			s := newService(t)
			s.on("GET /workloads/wl_1", answer)
			_, err := s.client().Workloads.Get(context.Background(), "wl_1")
			var failure *APIError
			if !errors.As(err, &failure) || failure.StatusCode != 404 || failure.Code != "" {
				t.Fatal(err)
			}
			if errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "does the base URL lead to the service?") {
				t.Errorf("another program's 404 looks like the service's: %v", err)
			}
		})
	}
}

func TestANewerServiceIsUnderstood(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.on("GET /workloads/wl_1", gives(200, `{"workload_id": "wl_1", "status": "HIBERNATING", "colour": {"is": ["new"]},
		"input_params": {"big": 12345678901234567890, "exact": 1.10}, "result_data": null, "version": 9007199254740993}`))
	workload, err := s.client().Workloads.Get(context.Background(), "wl_1")
	if err != nil {
		t.Fatal(err)
	}
	if workload.Status != "HIBERNATING" || workload.Status.IsTerminal() || workload.ResultData != nil || workload.Version != 9007199254740993 {
		t.Errorf("%+v", workload)
	}
	if fmt.Sprintf("%v %v", workload.InputParams["big"], workload.InputParams["exact"]) != "12345678901234567890 1.10" {
		t.Error(workload.InputParams)
	}
	again, err := json.Marshal(workload.InputParams)
	if err != nil || string(again) != `{"big":12345678901234567890,"exact":1.10}` {
		t.Error(string(again), err)
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	other := newService(t)
	s := newService(t)
	s.on("POST /workloads", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.URL, http.StatusFound)
	})
	_, err := s.client().Workloads.Submit(context.Background(), submission)
	var failure *APIError
	if !errors.As(err, &failure) || failure.StatusCode != 302 || len(other.got()) != 0 {
		t.Error(err)
	}
}

func TestHeadersOfACall(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.on("GET /customer", gives(200, `{}`))
	client := s.client(WithUserAgent("accounting/2"))
	if _, err := client.Customer.Get(context.Background(), WithHeader("x-request-id", "req_mine")); err != nil {
		t.Fatal(err)
	}
	header := s.got()[0].header
	for name, want := range map[string]string{
		"Authorization": "Bearer " + testKey, "X-Request-Id": "req_mine", "User-Agent": "accounting/2",
		"Idempotency-Key": "", "Content-Type": "",
	} {
		if header.Get(name) != want {
			t.Errorf("%s: %q", name, header.Get(name))
		}
	}
}

func TestWhatCantBeWrittenIsSaid(t *testing.T) {
	s := newService(t)
	_, err := s.client().Workloads.Submit(context.Background(), &SubmitWorkloadRequest{InputParams: Object{"x": math.NaN()}})
	if err == nil || !strings.Contains(err.Error(), "can't be written as JSON") || len(s.got()) != 0 {
		t.Error(err)
	}
}

func TestAnotherHTTPClient(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.on("GET /customer", hangs)
	_, err := s.client(WithHTTPClient(&http.Client{Timeout: 20 * time.Millisecond}), WithMaxRetries(0)).Customer.Get(context.Background())
	var broken *ConnectionError
	if !errors.As(err, &broken) {
		t.Error(err)
	}
}

func TestTheKeyShowsNowhere(t *testing.T) {
	client := NewClient(testKey, WithBaseURL("http://127.0.0.1:1"))
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		for _, value := range []any{client, *client, client.Workloads.transport, *client.Workloads.transport, *client.Admin.transport} {
			if text := fmt.Sprintf(format, value); strings.Contains(text, testKey) {
				t.Errorf("%s: %s", format, text)
			}
		}
	}
}

func TestHealthAndReadiness(t *testing.T) {
	s := newService(t)
	elsewhere(t)
	client := NewClient("", WithBaseURL(s.URL))
	s.on("GET /health", gives(200, `{"status": "healthy", "timestamp": "2025-10-27T12:56:00Z"}`))
	if health, err := client.Health(context.Background()); err != nil || health.Status != "healthy" || health.Timestamp.Year() != 2025 {
		t.Error(health, err)
	}
	s.on("GET /ready", gives(503, `{"status": "not_ready", "dependencies": {"database": "disconnected", "broker": "connected", "leader_elected": false}}`))
	ready, err := client.Ready(context.Background())
	if err != nil || ready.IsReady() || ready.Dependencies.Database != "disconnected" {
		t.Error(ready, err)
	}
	s.on("GET /ready", gives(200, `{"status": "ready", "dependencies": {"database": "connected", "broker": "connected", "leader_elected": true}}`))
	if ready, err = client.Ready(context.Background()); err != nil || !ready.IsReady() {
		t.Error(ready, err)
	}
	s.on("GET /ready", gives(503, "<html>"))
	if _, err = client.Ready(context.Background()); !errors.Is(err, ErrUnavailable) {
		t.Error(err)
	}
	if _, err = client.Customer.Get(context.Background()); !errors.Is(err, ErrConfiguration) || !strings.Contains(err.Error(), "NIYANTA_API_KEY") {
		t.Error(err)
	}
	if len(s.got()) != 4 {
		t.Error("a call without a key was made")
	}
}
