package niyanta

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

const logsCall = "GET /workloads/wl_1/logs"

func logLine(attempt, sequence, milliseconds int) string {
	return fmt.Sprintf(`{"attempt": %d, "sequence": %d, "timestamp": "2025-10-27T13:05:00.%03dZ", "level": "INFO", "message": "%d.%d", "details": {}}`,
		attempt, sequence, milliseconds, attempt, sequence)
}

func logLines(lines ...string) string { return page("logs", "["+strings.Join(lines, ",")+"]", "") }

func followed(t *testing.T, client *Client, request *FollowLogsRequest) ([]string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	lines, err := Collect(client.Workloads.FollowLogs(ctx, "wl_1", request))
	var found []string
	for _, line := range lines {
		found = append(found, line.Message)
	}
	return found, err
}

func TestALogIsFollowedToItsEnd(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.on(getCall, gives(200, workload(2, StatusRunning)), gives(200, workload(2, StatusRunning)), gives(200, workload(4, StatusCompleted)))
	s.on(logsCall,
		gives(200, logLines(logLine(1, 1, 7), logLine(1, 3, 8))),
		// One of the same millisecond that was late, one of the millisecond before that comes again, and one that is new.
		gives(200, logLines(logLine(1, 1, 7), logLine(1, 2, 8), logLine(1, 3, 8), logLine(1, 4, 9))),
		gives(200, logLines(logLine(1, 4, 9), logLine(2, 1, 9))))
	got, err := followed(t, s.client(), &FollowLogsRequest{Level: LogInfo})
	if want := []string{"1.1", "1.3", "1.2", "1.4", "2.1"}; err != nil || !slices.Equal(got, want) {
		t.Error(got, err)
	}
	var calls []string
	for _, request := range s.got() {
		calls = append(calls, request.call)
	}
	want := []string{
		getCall + "?version=0&wait_seconds=1", logsCall + "?level=INFO&limit=1000",
		getCall + "?version=2&wait_seconds=1", logsCall + "?level=INFO&limit=1000&since=2025-10-27T13%3A05%3A00.007Z",
		getCall + "?version=2&wait_seconds=1", logsCall + "?level=INFO&limit=1000&since=2025-10-27T13%3A05%3A00.008Z",
	}
	if !slices.Equal(calls, want) {
		t.Errorf("%q", calls)
	}
}

func TestALogIsFollowedFromItsTail(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.on(getCall, gives(200, workload(2, StatusCompleted)))
	s.on(logsCall,
		gives(200, logLines(logLine(1, 3, 8), logLine(1, 4, 8))),
		// Those of the same millisecond that come before the tail aren't wanted.
		gives(200, logLines(logLine(1, 1, 7), logLine(1, 2, 8), logLine(1, 3, 8), logLine(1, 4, 8), logLine(1, 5, 8), logLine(1, 6, 9))))
	got, err := followed(t, s.client(), &FollowLogsRequest{Tail: 2})
	if want := []string{"1.3", "1.4", "1.5", "1.6"}; err != nil || !slices.Equal(got, want) {
		t.Error(got, err)
	}
	if calls := s.got(); calls[1].call != logsCall+"?tail=2" || !strings.HasSuffix(calls[2].call, "since=2025-10-27T13%3A05%3A00.007Z") {
		t.Errorf("%+v", calls)
	}

	s.on(logsCall, gives(200, logLines()), gives(200, logLines(logLine(1, 1, 7))))
	if got, err = followed(t, s.client(), &FollowLogsRequest{Tail: 2}); err != nil || !slices.Equal(got, []string{"1.1"}) {
		t.Error(got, err)
	}
}

func TestALogIsFollowedOverAnOutage(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.on(getCall, gives(200, workload(2, StatusRunning)), breaks, gives(502, ""), breaks, gives(200, workload(3, StatusFailed)))
	s.on(logsCall,
		gives(200, page("logs", "["+logLine(1, 1, 7)+"]", "c2")), fails(503, "SERVICE_UNAVAILABLE"),
		gives(200, logLines(logLine(1, 1, 7), logLine(1, 2, 7))))
	got, err := followed(t, s.client(WithMaxRetries(0)), nil)
	if want := []string{"1.1", "1.2"}; err != nil || !slices.Equal(got, want) {
		t.Error(got, err)
	}
}

func TestALogThatCanNotBeFollowed(t *testing.T) {
	t.Parallel()
	s := newService(t)
	if got, err := followed(t, s.client(), nil); !errors.Is(err, ErrNotFound) || len(got) != 0 || len(s.got()) != 1 {
		t.Error(got, err)
	}
	s.on(getCall, gives(200, workload(2, StatusRunning)))
	s.on(logsCall, gives(200, logLines(logLine(1, 1, 7))))
	for line, err := range s.client().Workloads.FollowLogs(context.Background(), "wl_1", nil) {
		if err != nil || line.Sequence != 1 {
			t.Error(line, err)
		}
		break
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var ended error
	for line, err := range s.client().Workloads.FollowLogs(ctx, "wl_1", nil) {
		if ended = err; line != nil {
			cancel()
		}
	}
	if !errors.Is(ended, context.Canceled) {
		t.Error(ended)
	}
}
