package niyanta

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
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

func TestWhoIsNotTheServiceIsAskedOnce(t *testing.T) {
	t.Parallel()
	secure := httptest.NewTLSServer(gives(200, `{}`))
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	t.Cleanup(secure.Close)
	plain := newService(t)
	for name, address := range map[string]string{
		"an unknown certificate": secure.URL,
		"no TLS":                 strings.Replace(plain.URL, "http:", "https:", 1),
	} {
		tries := 0
		count := func(s *settings) {
			s.backoff = func(int) time.Duration { tries++; return 0 }
		}
		_, err := NewClient(testKey, WithBaseURL(address), WithMaxRetries(3), count).Customer.Get(context.Background())
		var broken *ConnectionError
		if !errors.As(err, &broken) || !broken.staysBroken() || tries > 1 {
			t.Errorf("%s: %v after %d pauses", name, err, tries)
		}
	}
}

func TestATLSConfigOfOnesOwn(t *testing.T) {
	t.Parallel()
	secure := httptest.NewUnstartedServer(gives(200, `{"name": "Acme"}`))
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	secure.StartTLS()
	t.Cleanup(secure.Close)
	authority := x509.NewCertPool()
	authority.AddCert(secure.Certificate())
	own := &tls.Config{RootCAs: authority, Certificates: secure.TLS.Certificates}
	account, err := NewClient(testKey, WithBaseURL(secure.URL), WithTLSConfig(own)).Customer.Get(context.Background())
	if err != nil || account.Name != "Acme" {
		t.Error(account, err)
	}
	for name, config := range map[string]*tls.Config{
		"no authority":   {Certificates: secure.TLS.Certificates},
		"no certificate": {RootCAs: authority},
	} {
		client := NewClient(testKey, WithBaseURL(secure.URL), WithTLSConfig(config), WithMaxRetries(0))
		if _, err := client.Customer.Get(context.Background()); err == nil {
			t.Error(name)
		}
	}
}

func TestHeadersThatCantBeAreRefused(t *testing.T) {
	t.Parallel()
	s := newService(t)
	for _, option := range []CallOption{WithIdempotencyKey("a\nb"), WithHeader("X-A", "\x00"), WithHeader("a b", "c"), WithHeader("", "c")} {
		if _, err := s.client().Workloads.Submit(context.Background(), submission, option); !errors.Is(err, ErrConfiguration) {
			t.Error(err)
		}
	}
	_, err := NewClient("a\nb", WithBaseURL(s.URL)).Customer.Get(context.Background())
	if !errors.Is(err, ErrConfiguration) || strings.Contains(err.Error(), "a\nb") || len(s.got()) != 0 {
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

func TestCallsAreInTheTraceOfTheirContext(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.on("GET /customer", gives(200, `{}`))
	type place struct{}
	client := s.client(WithTraceparent(func(ctx context.Context) string {
		found, _ := ctx.Value(place{}).(string)
		return found
	}))
	traced := context.WithValue(context.Background(), place{}, "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	for _, ctx := range []context.Context{traced, context.Background()} {
		if _, err := client.Customer.Get(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := client.Customer.Get(traced, WithHeader("Traceparent", "mine")); err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, request := range s.got() {
		found = append(found, request.header.Get("Traceparent"))
	}
	if found[0] != traced.Value(place{}) || found[1] != "" || found[2] != "mine" {
		t.Error(found)
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

func TestWhatIsShownOnceGetsIntoNoLog(t *testing.T) {
	for want, value := range map[string]any{
		`CreatedKey(key_1 "build")`:      &CreatedKey{ID: "key_1", Name: "build", APIKey: testKey},
		`CreatedToken(tok_1)`:            CreatedToken{ID: "tok_1", Token: testKey},
		`CreatedJoinToken(jt_1 "fleet")`: &CreatedJoinToken{ID: "jt_1", Name: "fleet", JoinToken: testKey},
	} {
		for _, format := range []string{"%v", "%+v", "%s"} {
			if got := fmt.Sprintf(format, value); got != want {
				t.Errorf("%s: %s", format, got)
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
