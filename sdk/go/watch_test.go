package niyanta

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
)

const socketCall, getCall = "GET /ws/workloads/wl_1", "GET /workloads/wl_1"

func moved(version int, status Status) string {
	return fmt.Sprintf(`{"type": "status_update", "workload_id": "wl_1", "version": %d, "status": %q, "progress_percent": 40, `+
		`"timestamp": "2025-10-27T13:05:00.000Z", "message": null}`, version, status)
}

func logged(line string) string {
	return fmt.Sprintf(`{"type": "log_line", "workload_id": "wl_1", "version": 3, "timestamp": "2025-10-27T13:05:00.000Z", `+
		`"level": "INFO", "message": %q, "details": {"n": 1}}`, line)
}

func completed(version int) string {
	return fmt.Sprintf(`{"type": "completed", "workload_id": "wl_1", "version": %d, "status": "COMPLETED", "progress_percent": 100, `+
		`"timestamp": "2025-10-27T13:05:00.000Z", "result_data": {"n": 12345678901234567890}}`, version)
}

func workload(version int, status Status) string {
	return fmt.Sprintf(`{"workload_id": "wl_1", "version": %d, "status": %q, "progress_percent": 50, "progress_message": "half",
		"result_data": {"n": 3}, "error_message": "no such file"}`, version, status)
}

// told is what a watch gives, in short.
func told(t *testing.T, client *Client, request *WatchRequest) ([]string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	updates, err := Collect(client.Workloads.Watch(ctx, "wl_1", request))
	var found []string
	for _, update := range updates {
		if update.WorkloadID != "wl_1" {
			t.Errorf("%+v", update)
		}
		if update.Type == UpdateLogLine {
			found = append(found, update.Message)
		} else {
			found = append(found, fmt.Sprintf("%d %s", update.Version, update.Status))
		}
	}
	return found, err
}

func TestAWatchTellsEverythingOnce(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.on(socketCall, sends(moved(1, StatusPending), moved(2, StatusRunning), moved(2, StatusRunning), logged("a line"), moved(3, StatusRunning), completed(4)))
	got, err := told(t, s.client(), nil)
	if want := []string{"1 PENDING", "2 RUNNING", "3 RUNNING", "4 COMPLETED"}; err != nil || !slices.Equal(got, want) {
		t.Error(got, err)
	}
	got, err = told(t, s.client(), &WatchRequest{Logs: true})
	if want := []string{"1 PENDING", "2 RUNNING", "a line", "3 RUNNING", "4 COMPLETED"}; err != nil || !slices.Equal(got, want) {
		t.Error(got, err)
	}
	for _, request := range s.got() {
		if request.call != socketCall || request.header.Get("Authorization") != "Bearer "+testKey {
			t.Errorf("%+v", request)
		}
	}
	updates, err := Collect(s.client().Workloads.Watch(context.Background(), "wl_1", &WatchRequest{Logs: true}))
	if err != nil {
		t.Fatal(err)
	}
	if line := updates[2]; line.Level != LogInfo || line.Details["n"].(fmt.Stringer).String() != "1" || line.Timestamp.Hour() != 13 {
		t.Errorf("%+v", line)
	}
	if last := updates[4]; last.Type != UpdateCompleted || last.ResultData["n"].(fmt.Stringer).String() != "12345678901234567890" {
		t.Errorf("%+v", last)
	}
}

func TestABrokenWebSocketIsReplaced(t *testing.T) {
	t.Parallel()
	for name, ending := range map[string]http.HandlerFunc{
		"closed":    sends(moved(1, StatusPending), moved(2, StatusRunning)),
		"not JSON":  sends(moved(1, StatusPending), moved(2, StatusRunning), "<html>"),
		"no object": sends(moved(1, StatusPending), moved(2, StatusRunning), "[]"),
		"cut": func(w http.ResponseWriter, r *http.Request) {
			link, err := websocket.Accept(w, r, nil)
			if err != nil {
				return
			}
			_ = link.Write(r.Context(), websocket.MessageText, []byte(moved(1, StatusPending)))
			_ = link.Write(r.Context(), websocket.MessageText, []byte(moved(2, StatusRunning)))
			_ = link.CloseNow()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newService(t)
			s.on(socketCall, ending, sends(moved(2, StatusRunning), completed(5)))
			got, err := told(t, s.client(), nil)
			if want := []string{"1 PENDING", "2 RUNNING", "5 COMPLETED"}; err != nil || !slices.Equal(got, want) {
				t.Error(got, err)
			}
		})
	}
}

func TestAnOutageIsWaitedOut(t *testing.T) {
	t.Parallel()
	s := newService(t)
	away := []http.HandlerFunc{breaks, gives(502, "<html>"), fails(503, "SERVICE_UNAVAILABLE"), fails(429, "RATE_LIMITED"), breaks, breaks, breaks, breaks, breaks}
	s.on(socketCall, append(append([]http.HandlerFunc{sends(moved(1, StatusPending))}, away...), sends(completed(5)))...)
	s.on(getCall, append(away, breaks)...)
	got, err := told(t, s.client(WithMaxRetries(1)), nil)
	if want := []string{"1 PENDING", "5 COMPLETED"}; err != nil || !slices.Equal(got, want) {
		t.Error(got, err)
	}
}

func TestAnOutageHasAnEnd(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.on(socketCall, sends(moved(1, StatusPending)), breaks)
	s.on(getCall, gives(502, ""))
	got, err := told(t, s.client(WithMaxOutage(50*time.Millisecond)), nil)
	if !errors.Is(err, ErrUnavailable) || !slices.Equal(got, []string{"1 PENDING"}) {
		t.Error(got, err)
	}
}

func TestAServiceThatWasNeverThereIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.on(socketCall, breaks)
	s.on(getCall, breaks)
	_, err := told(t, s.client(WithMaxRetries(2)), nil)
	var broken *ConnectionError
	if !errors.As(err, &broken) {
		t.Error(err)
	}
	polls := 0
	for _, request := range s.got() {
		if request.call == getCall {
			polls++
		}
	}
	if polls != 3 {
		t.Errorf("%d polls", polls)
	}
}

func TestWithoutWebSocketsItPolls(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.on(socketCall, gives(404, "<html>"))
	s.on(getCall, gives(200, workload(1, StatusPending)), gives(200, workload(1, StatusPending)), gives(200, workload(3, StatusRunning)), gives(200, workload(4, StatusFailed)))
	updates, err := Collect(s.client().Workloads.Watch(context.Background(), "wl_1", nil))
	if err != nil || len(updates) != 3 {
		t.Fatal(updates, err)
	}
	if last := updates[2]; last.Type != UpdateFailed || last.ErrorMessage != "no such file" || last.Message != "half" || last.Timestamp != nil {
		t.Errorf("%+v", last)
	}
	calls := []string{}
	for _, request := range s.got() {
		calls = append(calls, request.call)
	}
	if !strings.HasPrefix(strings.Join(calls, ", "), socketCall+", "+getCall+", "+getCall+"?version=1&wait_seconds=1") {
		t.Error(calls)
	}
}

func TestAWatchOfNothingSaysWhy(t *testing.T) {
	t.Parallel()
	for code, status := range map[string]int{"NOT_FOUND": 404, "UNAUTHORIZED": 401, "FORBIDDEN": 403} {
		s := newService(t)
		s.on(socketCall, fails(status, code))
		s.on(getCall, fails(status, code))
		if got, err := told(t, s.client(), nil); !errors.Is(err, kinds[code]) || len(got) != 0 || len(s.got()) != 2 {
			t.Error(got, err)
		}
	}
}

func TestANewerServicesUpdates(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.on(socketCall, sends(`{"type": "celebration", "fireworks": true}`, `{"type": "snoozed", "workload_id": "wl_1", "version": 2, "status": "SNOOZED"}`, completed(3)))
	got, err := told(t, s.client(), &WatchRequest{Logs: true})
	if want := []string{"2 SNOOZED", "3 COMPLETED"}; err != nil || !slices.Equal(got, want) {
		t.Error(got, err)
	}
}

func TestALargeResultComesThrough(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.on(socketCall, sends(strings.Replace(completed(3), `{"n"`, `{"text": "`+strings.Repeat(`ሴ`, 1<<20)+`", "n"`, 1)))
	updates, err := Collect(s.client().Workloads.Watch(context.Background(), "wl_1", nil))
	if err != nil || len(updates[0].ResultData["text"].(string)) != 3<<20 {
		t.Error(err)
	}
}

// open serves a WebSocket that stays open, and says when the caller has gone.
func open(gone *atomic.Int32, messages ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		defer gone.Add(1)
		link, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer func() { _ = link.CloseNow() }()
		for _, message := range messages {
			if link.Write(r.Context(), websocket.MessageText, []byte(message)) != nil {
				return
			}
		}
		_, _, _ = link.Read(context.Background())
	}
}

func TestLeavingAWatchClosesIt(t *testing.T) {
	before := runtime.NumGoroutine()
	t.Run("", func(t *testing.T) {
		s := newService(t)
		var gone atomic.Int32
		s.on(socketCall, open(&gone, moved(1, StatusPending), logged("x")))
		client := s.client(WithHTTPClient(&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}))
		for range client.Workloads.Watch(context.Background(), "wl_1", nil) {
			break
		}
		ctx, cancel := context.WithCancel(context.Background())
		var ended error
		for update, err := range client.Workloads.Watch(ctx, "wl_1", nil) {
			if ended = err; update != nil {
				cancel()
			}
		}
		if !errors.Is(ended, context.Canceled) {
			t.Error(ended)
		}
		ctx, cancel = context.WithTimeout(context.Background(), 50*time.Millisecond)
		defer cancel()
		if _, err := client.Workloads.WaitForCompletion(ctx, "wl_1"); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		until(t, func() bool { return gone.Load() == 3 })
	})
	until(t, func() bool { return runtime.NumGoroutine() <= before })
}

func TestADeadLinkIsReplaced(t *testing.T) {
	t.Parallel()
	s := newService(t)
	replaced := make(chan struct{})
	// This end reads nothing, so no ping is answered.
	s.on(socketCall, func(w http.ResponseWriter, r *http.Request) {
		link, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		_ = link.Write(r.Context(), websocket.MessageText, []byte(moved(1, StatusPending)))
		<-replaced
		_ = link.CloseNow()
	}, func(w http.ResponseWriter, r *http.Request) {
		close(replaced)
		sends(completed(5))(w, r)
	})
	client := s.client(func(s *settings) { s.pingInterval = 20 * time.Millisecond })
	if got, err := told(t, client, nil); err != nil || !slices.Equal(got, []string{"1 PENDING", "5 COMPLETED"}) {
		t.Error(got, err)
	}
}

func TestALivingLinkIsKept(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.on(socketCall, func(w http.ResponseWriter, r *http.Request) {
		pings := make(chan struct{}, 100)
		link, err := websocket.Accept(w, r, &websocket.AcceptOptions{OnPingReceived: func(context.Context, []byte) bool {
			pings <- struct{}{}
			return true
		}})
		if err != nil {
			return
		}
		defer func() { _ = link.CloseNow() }()
		_ = link.Write(r.Context(), websocket.MessageText, []byte(moved(1, StatusPending)))
		ctx := link.CloseRead(r.Context())
		for range 3 {
			<-pings
		}
		_ = link.Write(ctx, websocket.MessageText, []byte(completed(2)))
		<-ctx.Done()
	})
	client := s.client(func(s *settings) { s.pingInterval = 200 * time.Millisecond })
	if got, err := told(t, client, nil); err != nil || len(got) != 2 || len(s.got()) != 1 {
		t.Error(got, err, len(s.got()))
	}
}

func until(t *testing.T, fulfilled func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !fulfilled(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it never came to that")
		}
	}
}

func TestWaitForCompletion(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		status Status
		last   string
	}{
		{StatusCompleted, completed(3)},
		{StatusFailed, strings.ReplaceAll(strings.ReplaceAll(completed(3), "COMPLETED", "FAILED"), "completed", "failed")},
		{StatusCancelled, moved(3, StatusCancelled)},
	} {
		for name, socket := range map[string]http.HandlerFunc{"by WebSocket": sends(moved(2, StatusRunning), row.last), "by polls": gives(404, "")} {
			t.Run(string(row.status)+" "+name, func(t *testing.T) {
				t.Parallel()
				s := newService(t)
				s.on(socketCall, socket)
				s.on(getCall, gives(200, workload(3, row.status)))
				final, err := s.client().Workloads.WaitForCompletion(context.Background(), "wl_1")
				var failed *FailedError
				var cancelled *CancelledError
				switch row.status {
				case StatusFailed:
					if !errors.As(err, &failed) || failed.Workload.ID != "wl_1" || err.Error() != "niyanta: workload wl_1 failed: no such file" {
						t.Error(err)
					}
				case StatusCancelled:
					if !errors.As(err, &cancelled) || cancelled.Workload.Version != 3 || err.Error() != "niyanta: workload wl_1 was cancelled" {
						t.Error(err)
					}
				default:
					if err != nil || final.Status != StatusCompleted {
						t.Error(final, err)
					}
				}
				if err != nil && final != nil {
					t.Error("both a workload and an error")
				}
				if len(s.got()) != 2 {
					t.Error(s.got())
				}
			})
		}
	}
}

func TestASlowCallerLosesNothing(t *testing.T) {
	t.Parallel()
	messages := []string{}
	for i := range 4 * updatesAhead {
		messages = append(messages, moved(i+1, StatusRunning))
	}
	s := newService(t)
	s.on(socketCall, sends(append(messages, completed(len(messages)+1))...))
	version := int64(0)
	for update, err := range s.client().Workloads.Watch(context.Background(), "wl_1", nil) {
		if err != nil || update.Version != version+1 {
			t.Fatal(update, err)
		}
		version++
		runtime.Gosched()
	}
	if version != int64(len(messages)+1) || len(s.got()) != 1 {
		t.Error(version, len(s.got()))
	}
}
