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
)

const (
	eventsCall = "GET /workloads/events"

	feedReady  = "id: f.0\nevent: ready\ndata: {\"type\":\"ready\",\"resumed\":false}\n\n"
	feedOne    = "id: f.1\nevent: workload\ndata: {\"type\":\"workload\",\"workload_id\":\"wl_1\",\"status\":\"RUNNING\",\"version\":2,\"progress_percent\":40,\"worker_id\":null,\"message\":\"half\",\"timestamp\":\"2025-10-27T12:45:00.000Z\"}\n\n"
	feedMissed = "id: g.7\nevent: missed\ndata: {\"type\":\"missed\",\"reason\":\"unknown_id\"}\n\n"
)

func feeds(pieces ...string) http.HandlerFunc {
	return streams("text/event-stream; charset=utf-8", pieces...)
}

// heardOf is what a feed gives, in short.
func heardOf(t *testing.T, client *Client, request *EventsRequest) ([]string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	events, err := Collect(client.Workloads.Events(ctx, request))
	var found []string
	for _, event := range events {
		found = append(found, fmt.Sprintf("%s %s", event.ID, event.Type))
	}
	return found, err
}

// askedBehind is the Last-Event-ID of each request.
func askedBehind(s *service) []string {
	var found []string
	for _, request := range s.got() {
		found = append(found, request.header.Get("Last-Event-ID"))
	}
	return found
}

func TestEventsComeWholeWhateverPiecesTheyComeIn(t *testing.T) {
	t.Parallel()
	text := "retry: 2000\n\n" + feedReady + ": heartbeat\n\n" + feedOne
	for name, pieces := range map[string][]string{
		"in one":      {text},
		"in bytes":    strings.Split(text, ""),
		"with CRLF":   {strings.ReplaceAll(text, "\n", "\r\n")},
		"then cut":    {text, "id: f.2\ndata: {\"type\":\"workload\"}\n"},
		"data in two": {feedReady, strings.Replace(feedOne, `"workload_id"`, "\ndata:\"workload_id\"", 1)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newService(t)
			s.on(eventsCall, feeds(pieces...), fails(403, "FORBIDDEN"))
			events, err := Collect(s.client().Workloads.Events(context.Background(), nil))
			if !errors.Is(err, ErrForbidden) || len(events) != 2 {
				t.Fatal(events, err)
			}
			if first := events[0]; first.Type != LiveReady || first.Resumed || first.ID != "f.0" || first.Status != "" {
				t.Errorf("%+v", first)
			}
			if second := events[1]; second.Type != LiveWorkload || second.WorkloadID != "wl_1" || second.Status != StatusRunning || second.Version != 2 ||
				second.ID != "f.1" || second.WorkerID != nil || *second.Message != "half" || second.Timestamp.Hour() != 12 {
				t.Errorf("%+v", second)
			}
			got := s.got()
			if got[0].header.Get("Authorization") != "Bearer "+testKey || got[0].header.Get("Accept") != "text/event-stream" {
				t.Error(got[0].header)
			}
			if behind := askedBehind(s); !slices.Equal(behind, []string{"", "f.1"}) {
				t.Error(behind)
			}
		})
	}
}

func TestAFeedThatBreaksGoesOnWhereItBroke(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.on(eventsCall, feeds(feedReady, feedOne), breaks, fails(503, "SERVICE_UNAVAILABLE"), feeds(feedMissed), fails(401, "UNAUTHORIZED"))
	got, err := heardOf(t, s.client(), nil)
	if want := []string{"f.0 ready", "f.1 workload", "g.7 missed"}; !errors.Is(err, ErrUnauthorized) || !slices.Equal(got, want) {
		t.Error(got, err)
	}
	if behind := askedBehind(s); !slices.Equal(behind, []string{"", "f.1", "f.1", "f.1", "g.7"}) {
		t.Error(behind)
	}
}

func TestAFeedBeginsBehindAnEventOfBefore(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.on(eventsCall, feeds("data: {\"type\": \"ready\", \"resumed\": true}\n\n"), fails(403, "FORBIDDEN"))
	events := s.client().Workloads.Events(context.Background(), &EventsRequest{LastEventID: "f.9"})
	for range 2 {
		for event, err := range events {
			if err != nil || !event.Resumed || event.ID != "f.9" {
				t.Error(event, err)
			}
			break
		}
		s.on(eventsCall, feeds("data: {\"type\": \"ready\", \"resumed\": true}\n\n"))
	}
	if behind := askedBehind(s); !slices.Equal(behind, []string{"f.9", "f.9"}) {
		t.Error(behind)
	}
	if _, err := heardOf(t, s.client(), &EventsRequest{LastEventID: "a\nb"}); !errors.Is(err, ErrConfiguration) {
		t.Error(err)
	}
}

func TestAFeedThatWasNeverThereIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]http.HandlerFunc{"broken": breaks, "empty": feeds()} {
		s := newService(t)
		s.on(eventsCall, answer)
		_, err := heardOf(t, s.client(WithMaxRetries(2)), nil)
		var broken *ConnectionError
		if !errors.As(err, &broken) || len(s.got()) != 3 {
			t.Error(name, err, len(s.got()))
		}
	}
}

func TestAnOutageOfAFeedIsWaitedOutAndHasAnEnd(t *testing.T) {
	t.Parallel()
	s := newService(t)
	away := []http.HandlerFunc{breaks, gives(502, "<html>"), breaks, breaks, breaks, breaks, breaks, breaks}
	s.on(eventsCall, append(append([]http.HandlerFunc{feeds(": heartbeat\n\n")}, away...), feeds(feedReady), breaks)...)
	got, err := heardOf(t, s.client(WithMaxRetries(1), WithMaxOutage(time.Second)), nil)
	var broken *ConnectionError
	if !errors.As(err, &broken) || !slices.Equal(got, []string{"f.0 ready"}) {
		t.Error(got, err)
	}
}

func TestASlowReaderIsNotTakenForAnOutage(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.on(eventsCall, feeds(feedReady), breaks, feeds(feedOne), fails(403, "FORBIDDEN"))
	var heard []LiveEventType
	var ended error
	for event, err := range s.client(WithMaxOutage(100*time.Millisecond)).Workloads.Events(context.Background(), nil) {
		if ended = err; err == nil {
			heard = append(heard, event.Type)
			time.Sleep(200 * time.Millisecond) // longer than an outage may last
		}
	}
	if !errors.Is(ended, ErrForbidden) || !slices.Equal(heard, []LiveEventType{LiveReady, LiveWorkload}) {
		t.Error(heard, ended)
	}
}

func TestAFeedThatFallsSilentIsReplaced(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.on(eventsCall, func(w http.ResponseWriter, r *http.Request) {
		feeds(feedReady)(w, r)
		<-r.Context().Done() // this link is dead: not even a sign of life comes
	}, feeds(feedOne), fails(403, "FORBIDDEN"))
	client := s.client(func(s *settings) { s.longestQuiet = 50 * time.Millisecond })
	got, err := heardOf(t, client, nil)
	if want := []string{"f.0 ready", "f.1 workload"}; !errors.Is(err, ErrForbidden) || !slices.Equal(got, want) {
		t.Error(got, err)
	}
}

func TestWhatIsNoFeed(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]http.HandlerFunc{
		"a page":        streams("text/html", "<html>"),
		"no JSON":       feeds("data: hello\n\n"),
		"no object":     feeds("data: []\n\n"),
		"without bound": feeds("data: " + strings.Repeat("x", maxMessageBytes) + "\n\n"),
	} {
		s := newService(t)
		s.on(eventsCall, answer)
		if got, err := heardOf(t, s.client(), nil); !errors.Is(err, ErrMalformedAnswer) || len(got) != 0 || len(s.got()) != 1 {
			t.Error(name, got, err, len(s.got()))
		}
	}
}

func TestOperatorsFollowEverybody(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.on("GET /admin/events", feeds(feedReady, "id: f.1\ndata: {\"type\":\"fleet\"}\n\n", "id: f.2\ndata: {\"type\":\"customer\",\"customer_id\":\"cust_a\"}\n\n",
		"id: f.3\ndata: {\"type\":\"fireworks\",\"colours\":[1]}\n\n"), fails(403, "FORBIDDEN"))
	events, err := Collect(s.client().Admin.Events(context.Background(), nil))
	if !errors.Is(err, ErrForbidden) || len(events) != 4 {
		t.Fatal(events, err)
	}
	if events[1].Type != LiveFleet || events[2].Type != LiveCustomer || events[2].CustomerID != "cust_a" || events[3].Type != "fireworks" {
		t.Errorf("%+v %+v %+v", events[1], events[2], events[3])
	}
}

func TestLeavingAFeedClosesIt(t *testing.T) {
	before := runtime.NumGoroutine()
	t.Run("", func(t *testing.T) {
		s := newService(t)
		var gone atomic.Int32
		s.on(eventsCall, func(w http.ResponseWriter, r *http.Request) {
			defer gone.Add(1)
			feeds(feedReady)(w, r)
			<-r.Context().Done()
		})
		client := s.client(WithHTTPClient(&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}))
		for range client.Workloads.Events(context.Background(), nil) {
			break
		}
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		var ended error
		for event, err := range client.Workloads.Events(ctx, nil) {
			if ended = err; event != nil {
				cancel()
			}
		}
		if !errors.Is(ended, context.Canceled) {
			t.Error(ended)
		}
		until(t, func() bool { return gone.Load() == 2 })
	})
	until(t, func() bool { return runtime.NumGoroutine() <= before })
}

func TestWhatDoesNotOpenIsGivenUp(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.on(eventsCall, hangs)
	s.on(downloadCall, hangs)
	client := s.client(WithTimeout(50*time.Millisecond), WithMaxRetries(1))
	var broken *ConnectionError
	if got, err := heardOf(t, client, nil); !errors.As(err, &broken) || len(got) != 0 {
		t.Error(got, err)
	}
	if _, err := client.Checkpoints.Download(context.Background(), "wl_1", 3); !errors.As(err, &broken) {
		t.Error(err)
	}
	if len(s.got()) != 4 {
		t.Errorf("%d requests", len(s.got()))
	}
}
