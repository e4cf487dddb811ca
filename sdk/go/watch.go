package niyanta

import (
	"context"
	"errors"
	"iter"
	"time"
)

// UpdateType says what an update is about.
type UpdateType string

// The types of updates.
const (
	// UpdateStatus: status or progress changed. With CANCELLED it is the last.
	UpdateStatus UpdateType = "status_update"
	// UpdateLogLine: the handler wrote a line.
	UpdateLogLine UpdateType = "log_line"
	// UpdateCompleted is the last.
	UpdateCompleted UpdateType = "completed"
	// UpdateFailed is the last.
	UpdateFailed UpdateType = "failed"
)

// Update is one thing that happened to a workload that is watched.
type Update struct {
	Type       UpdateType `json:"type"`
	WorkloadID string     `json:"workload_id"`
	// Version grows by one with each change of the workload; it rises strictly from one update to the next, log lines
	// left aside.
	Version int64 `json:"version"`
	// Status is empty in a log line.
	Status Status `json:"status"`
	// ProgressPercent is 0 in a log line.
	ProgressPercent int `json:"progress_percent"`
	// Timestamp is nil where the service can't be followed by WebSocket, which is what tells it.
	Timestamp *time.Time `json:"timestamp"`
	// Message is the handler's progress message or the log line.
	Message string `json:"message"`
	// Level is that of a log line.
	Level LogLevel `json:"level"`
	// Details are those of a log line.
	Details Object `json:"details"`
	// ResultData comes with UpdateCompleted.
	ResultData Object `json:"result_data"`
	// ErrorMessage comes with UpdateFailed.
	ErrorMessage string `json:"error_message"`
}

// WatchRequest says what is wanted of a watch.
type WatchRequest struct {
	// Logs: the log lines as well that are written from now on. They come only by WebSocket, and those that were
	// written while a broken link was replaced are left out; IterateLogs has them all.
	Logs bool
}

// Watch yields what happens to a workload, first how things stand, then each change of its status in order and the
// newest of its progress, last how it ended. Then the sequence ends; it ends earlier when the loop is left, when the
// context ends, and with an error. request may be nil.
//
// It follows a WebSocket. A link that breaks is replaced, and nothing is given twice. Where WebSockets can't be had it
// polls, and looks now and then whether they can.
func (s *WorkloadsService) Watch(ctx context.Context, workloadID string, request *WatchRequest, options ...CallOption) iter.Seq2[*Update, error] {
	return func(yield func(*Update, error) bool) {
		w := watch{
			workloads: s, workloadID: workloadID, logs: copied(request).Logs, options: options,
			patience: patience{transport: s.transport},
		}
		w.yield = func(update *Update) bool { return yield(update, nil) }
		if err := w.follow(ctx); err != nil {
			yield(nil, err)
		}
	}
}

// WaitForCompletion waits until a workload has ended, and returns it when it is COMPLETED. When it is FAILED or
// CANCELLED the error is a [*FailedError] or [*CancelledError], which carries it. It waits as long as the context lasts;
// when that ends, the workload goes on all the same.
func (s *WorkloadsService) WaitForCompletion(ctx context.Context, workloadID string, options ...CallOption) (*Workload, error) {
	w := watch{
		workloads: s, workloadID: workloadID, options: options,
		patience: patience{transport: s.transport},
		yield:    func(*Update) bool { return true },
	}
	if err := w.follow(ctx); err != nil {
		return nil, err
	}
	final := w.polled
	if final == nil || !final.Status.IsTerminal() {
		var err error
		if final, err = s.Get(ctx, workloadID, options...); err != nil {
			return nil, err
		}
	}
	switch final.Status {
	case StatusFailed:
		return nil, &FailedError{final}
	case StatusCancelled:
		return nil, &CancelledError{final}
	}
	return final, nil
}

const (
	// A long poll waits no longer than this: some proxies cut quiet connections after 30 seconds.
	longestPoll = 20 * time.Second
	// Polls of a workload that changes all the time come no faster than this.
	leastPollInterval = 500 * time.Millisecond
	// Where WebSockets can't be had, another try comes after these pauses: doubling, up to the longest.
	firstSocketPause   = time.Second
	longestSocketPause = time.Minute
)

// watch is one caller's view of one workload as it changes.
//
// Its state is the newest version that was given. Both sources, the WebSocket and the poll, are told apart from their
// repetition by it alone, so it doesn't matter which of them tells of a change, or how often.
type watch struct {
	workloads  *WorkloadsService
	workloadID string
	logs       bool
	options    []CallOption
	yield      func(*Update) bool

	version int64
	ended   bool      // the last update was given, or the caller left
	polled  *Workload // the answer of the last poll

	patience
	socketAt  time.Time // when the next WebSocket may be tried
	noSockets int       // how often in a row there was none to be had
}

// follow gives updates until the last. It returns an error only when it ends before.
func (w *watch) follow(ctx context.Context) error {
	for !w.ended {
		if ctx.Err() != nil {
			return contextError(ctx)
		}
		var err error
		if time.Now().Before(w.socketAt) {
			err = w.poll(ctx, min(longestPoll, time.Until(w.socketAt)))
		} else if err = w.followSocket(ctx); errors.Is(err, errNoSocket) {
			w.postponeSocket()
			err = w.poll(ctx, 0) // finds out whether it is the WebSocket alone, and says what else is wrong
		}
		if err == nil || w.ended {
			continue
		}
		// What has come back is to be met by a WebSocket at once.
		w.socketAt, w.noSockets = time.Time{}, 0
		if err := w.endure(ctx, err); err != nil {
			return err
		}
	}
	return nil
}

func (w *watch) postponeSocket() {
	pause := longestSocketPause
	if w.noSockets < 6 {
		pause = firstSocketPause << w.noSockets
	}
	w.noSockets++
	w.socketAt = time.Now().Add(pause)
}

// poll asks for the workload as it is, or once it has changed.
func (w *watch) poll(ctx context.Context, wait time.Duration) error {
	begun := time.Now()
	request := &longPoll{once: true}
	if wait > 0 {
		request.WaitSeconds, request.Version = max(1, int(wait/time.Second)), &w.version
	}
	found, err := w.workloads.get(ctx, w.workloadID, request, w.options)
	if err != nil {
		return err
	}
	w.polled = found
	w.reached()
	w.give(updateFrom(found))
	if w.ended || wait == 0 {
		return nil
	}
	return sleep(ctx, leastPollInterval-time.Since(begun))
}

// give hands an update on, unless it tells nothing new.
func (w *watch) give(update *Update) {
	if update.Type == UpdateLogLine {
		if w.logs && !w.yield(update) {
			w.ended = true
		}
		return
	}
	if update.Version <= w.version || update.Status == "" {
		return
	}
	w.version = update.Version
	if !w.yield(update) || update.Status.IsTerminal() {
		w.ended = true
	}
}

// updateFrom says of a polled workload what a WebSocket would have said.
func updateFrom(workload *Workload) *Update {
	update := &Update{
		Type:            UpdateStatus,
		WorkloadID:      workload.ID,
		Version:         workload.Version,
		Status:          workload.Status,
		ProgressPercent: workload.ProgressPercent,
	}
	if workload.ProgressMessage != nil {
		update.Message = *workload.ProgressMessage
	}
	switch workload.Status {
	case StatusCompleted:
		update.Type, update.ResultData = UpdateCompleted, workload.ResultData
	case StatusFailed:
		update.Type = UpdateFailed
		if workload.ErrorMessage != nil {
			update.ErrorMessage = *workload.ErrorMessage
		}
	}
	return update
}
