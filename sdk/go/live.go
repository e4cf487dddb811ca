package niyanta

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"mime"
	"net/http"
	"slices"
	"time"
)

// LiveEventType says what a live event is about.
type LiveEventType string

// The types of live events.
const (
	// LiveReady: what is committed from now on is told.
	LiveReady LiveEventType = "ready"
	// LiveWorkload: a workload was submitted, moved or reported progress, and is like this now.
	LiveWorkload LiveEventType = "workload"
	// LiveMissed: some events may be missing; read the list again.
	LiveMissed LiveEventType = "missed"
	// LiveFleet: workers came, went or were drained. Only operators are told.
	LiveFleet LiveEventType = "fleet"
	// LiveCustomer: a customer, its limits or its keys changed. Only operators are told.
	LiveCustomer LiveEventType = "customer"
)

// MissedReason says why live events may be missing.
type MissedReason string

// The reasons.
const (
	// MissedUnknownID: what followed the last event that was seen isn't kept there.
	MissedUnknownID MissedReason = "unknown_id"
	// MissedTooSlow: more waited to be read than is kept.
	MissedTooSlow MissedReason = "too_slow"
	// MissedLost: what another coordinator committed may not have been told.
	MissedLost MissedReason = "lost"
)

// LiveEvent is one thing that happened. Which fields it has, depends on its type; the others are empty.
type LiveEvent struct {
	// ID is its place in the feed, for EventsRequest.
	ID   string        `json:"-"`
	Type LiveEventType `json:"type"`
	// WorkloadID and what follows, but for Reason and Resumed, are of LiveWorkload.
	WorkloadID string `json:"workload_id"`
	// CustomerID is of LiveCustomer too.
	CustomerID   string `json:"customer_id"`
	WorkloadType string `json:"workload_type"`
	Status       Status `json:"status"`
	// Version: of two events of a workload, the one with the higher is the newer, in whichever order they come.
	Version         int64 `json:"version"`
	ProgressPercent int   `json:"progress_percent"`
	Generation      int64 `json:"generation"`
	// WorkerID is nil while no worker has it.
	WorkerID *string `json:"worker_id"`
	// Message is what the handler said last.
	Message *string `json:"message"`
	// Timestamp is when the coordinator heard of it.
	Timestamp *time.Time `json:"timestamp"`
	// Reason is of LiveMissed.
	Reason MissedReason `json:"reason"`
	// Resumed is of LiveReady: nothing was missed since the event before.
	Resumed bool `json:"resumed"`
}

// EventsRequest says where a live feed begins.
type EventsRequest struct {
	// LastEventID is the ID of the last event that was seen, to go on behind it where that can be had; now when empty.
	LastEventID string
}

// Events yields what happens to all of the customer's workloads from now on, for screens that show how things stand:
// open it, read the list after its LiveReady, and change what you show by each event with a higher version. Where
// something may be missing, a LiveMissed says so. It is no history: that is Audit, and Watch for one workload as it goes.
// request may be nil.
//
// The sequence ends when the loop is left, when the context ends, and with an error. A connection that breaks is
// replaced and goes on where it broke, if that can be had; its LiveReady says so.
func (s *WorkloadsService) Events(ctx context.Context, request *EventsRequest, options ...CallOption) iter.Seq2[*LiveEvent, error] {
	return follow(ctx, s.transport, "/workloads/events", request, options)
}

// Events yields what happens to everybody's workloads, to the fleet and to customers from now on, as that of
// [WorkloadsService.Events] does; request may be nil.
func (s *AdminService) Events(ctx context.Context, request *EventsRequest, options ...CallOption) iter.Seq2[*LiveEvent, error] {
	return follow(ctx, s.transport, "/admin/events", request, options)
}

// feed is one caller's view of a live feed, over one connection after another.
type feed struct {
	patience
	path        string
	lastEventID string
	options     []CallOption
	yield       func(*LiveEvent) bool
	ended       bool // the caller left
}

func follow(ctx context.Context, t *transport, path string, request *EventsRequest, options []CallOption) iter.Seq2[*LiveEvent, error] {
	lastEventID := copied(request).LastEventID
	return func(yield func(*LiveEvent, error) bool) {
		f := feed{patience: patience{transport: t}, path: path, lastEventID: lastEventID, options: options}
		f.yield = func(event *LiveEvent) bool { return yield(event, nil) }
		if err := f.follow(ctx); err != nil {
			yield(nil, err)
		}
	}
}

// follow gives events until the caller leaves; else it returns why there are no more.
func (f *feed) follow(ctx context.Context) error {
	for {
		err := f.connect(ctx)
		if f.ended {
			return nil
		}
		if ctx.Err() != nil {
			return contextError(ctx)
		}
		if err := f.endure(ctx, err); err != nil {
			return err
		}
	}
}

// connect gives the events of one connection, and returns how it ended.
func (f *feed) connect(ctx context.Context) error {
	options := f.options
	if f.lastEventID != "" {
		options = append(slices.Clip(options), WithHeader("Last-Event-ID", f.lastEventID))
	}
	wanted := call{method: http.MethodGet, path: f.path}
	found, err := f.transport.open(ctx, wanted, eventStream, f.transport.longestQuiet, options)
	if err != nil {
		return err
	}
	defer found.Close()
	if kind, _, _ := mime.ParseMediaType(found.header.Get("Content-Type")); kind != eventStream {
		return fmt.Errorf("%w: it is %q and no feed", ErrMalformedAnswer, kind)
	}
	lines := bufio.NewScanner(found)
	lines.Buffer(nil, maxMessageBytes)
	heard := false
	var reading message
	for !f.ended && lines.Scan() {
		heard = true
		if len(lines.Bytes()) > 0 {
			reading.add(lines.Bytes())
			continue
		}
		if err := f.give(reading); err != nil {
			return err
		}
		reading = message{}
	}
	if heard {
		f.reached() // also when only signs of life came, and when the caller took long for the last event
	}
	if errors.Is(lines.Err(), bufio.ErrTooLong) {
		return fmt.Errorf("%w: an event has more than %d bytes", ErrMalformedAnswer, maxMessageBytes)
	}
	if lines.Err() != nil {
		return lines.Err()
	}
	return &ConnectionError{URL: f.transport.credentials.baseURL, Err: errors.New("the live feed has ended")}
}

// give hands on what a message holds. Its place is noted first: whoever has got it doesn't get it again.
func (f *feed) give(read message) error {
	if read.hasID {
		f.lastEventID = read.id
	}
	if len(read.data) == 0 {
		return nil // nothing but a comment, or a field for browsers
	}
	event := &LiveEvent{ID: f.lastEventID}
	if err := json.Unmarshal(read.data, event); err != nil {
		return fmt.Errorf("%w: %w", ErrMalformedAnswer, err)
	}
	f.ended = !f.yield(event)
	return nil
}

const eventStream = "text/event-stream"

// message is what is read of one server-sent event (HTML Living Standard, section 9.2.6). One that is cut off never
// comes to its empty line, and is dropped.
type message struct {
	id    string
	hasID bool
	data  []byte
}

// add reads one line, which may be a comment.
func (m *message) add(line []byte) {
	name, value, _ := bytes.Cut(line, []byte(":"))
	value = bytes.TrimPrefix(value, []byte(" "))
	switch string(name) {
	case "id":
		if id := string(value); !unprintable(id) {
			m.id, m.hasID = id, true
		}
	case "data":
		if m.data != nil {
			m.data = append(m.data, '\n')
		}
		m.data = append(m.data, value...)
	}
}
