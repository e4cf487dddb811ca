package niyanta

import (
	"context"
	"iter"
	"time"
)

// FollowLogsRequest says which log lines are wanted; empty fields don't choose.
type FollowLogsRequest struct {
	// Tail begins with the last so many lines, up to 1000; with the first of all when 0.
	Tail int
	// Since is exclusive.
	Since time.Time
	// Level chooses lines of this level or a higher one.
	Level LogLevel
}

// FollowLogs yields a workload's log lines, oldest first, those that are there and those that are still to be written:
// none left out, none twice. The sequence ends when the workload has ended and all its lines are given; earlier when the
// loop is left, when the context ends, and with an error. request may be nil. It puts up with outages as Watch does.
func (s *WorkloadsService) FollowLogs(ctx context.Context, workloadID string, request *FollowLogsRequest, options ...CallOption) iter.Seq2[*LogLine, error] {
	wanted := copied(request)
	return func(yield func(*LogLine, error) bool) {
		f := logFollowing{
			patience: patience{transport: s.transport}, workloads: s, workloadID: workloadID, wanted: wanted,
			options: options, begun: wanted.Tail == 0, given: map[place]bool{},
		}
		f.yield = func(line *LogLine) bool { return yield(line, nil) }
		if err := f.follow(ctx); err != nil {
			yield(nil, err)
		}
	}
}

const (
	logPoll = time.Second
	// clockStep is what Since can tell apart.
	clockStep = time.Millisecond
)

// place names a line for ever.
type place struct{ attempt, sequence int64 }

// logFollowing is one caller's reading of one workload's log as it grows.
//
// Lines may share a millisecond, and some of one may be written after others of it were read. So each reading begins
// before the last line's, and leaves out those that were given.
type logFollowing struct {
	patience
	workloads  *WorkloadsService
	workloadID string
	wanted     FollowLogsRequest
	options    []CallOption
	yield      func(*LogLine) bool

	begun   bool           // the tail was given, where one is wanted
	version int64          // of the workload, as it was seen last
	last    time.Time      // of the last line that was given; zero before the first
	given   map[place]bool // lines of that time, given or to be left out
	behind  *place         // the tail's last line, until it has been met again: what is before it isn't wanted
	ended   bool           // the caller left, or there is nothing more to come
}

// follow gives lines until the last. It returns an error only when it ends before.
func (f *logFollowing) follow(ctx context.Context) error {
	for !f.ended {
		if ctx.Err() != nil {
			return contextError(ctx)
		}
		begun := time.Now()
		err := f.round(ctx)
		if f.ended {
			return nil
		}
		if err == nil {
			err = sleep(ctx, leastPollInterval-time.Since(begun))
		} else {
			err = f.endure(ctx, err)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// round gives the lines that are new, once the workload has changed or a while is over.
func (f *logFollowing) round(ctx context.Context) error {
	poll := &longPoll{WaitSeconds: int(logPoll / time.Second), Version: &f.version, once: true}
	workload, err := f.workloads.get(ctx, f.workloadID, poll, f.options)
	if err != nil {
		return err
	}
	f.reached()
	if !f.begun {
		if err := f.giveTail(ctx); err != nil || f.ended {
			return err
		}
		f.begun = true
	}
	since := f.wanted.Since
	if !f.last.IsZero() {
		since = f.last.Add(-clockStep)
	}
	request := &LogsRequest{Since: since, Level: f.wanted.Level}
	for line, err := range f.workloads.IterateLogs(ctx, f.workloadID, request, f.options...) {
		if err != nil {
			return err
		}
		f.reached()
		if f.isNew(line) && !f.yield(line) {
			f.ended = true
			return nil
		}
	}
	f.version = workload.Version // what it had written by then has been read
	f.ended = workload.Status.IsTerminal()
	return nil
}

// giveTail gives the last lines that are there.
func (f *logFollowing) giveTail(ctx context.Context) error {
	page, err := f.workloads.Logs(ctx, f.workloadID, &LogsRequest{
		Tail: f.wanted.Tail, Since: f.wanted.Since, Level: f.wanted.Level,
	}, f.options...)
	if err != nil {
		return err
	}
	f.reached()
	for _, line := range page.Logs {
		f.last, f.behind = line.Timestamp, &place{line.Attempt, line.Sequence}
		if !f.yield(line) {
			f.ended = true
			return nil
		}
	}
	return nil
}

// isNew reports whether a line hasn't been given, and notes it.
func (f *logFollowing) isNew(line *LogLine) bool {
	here := place{line.Attempt, line.Sequence}
	if line.Timestamp.Before(f.last) {
		return false // of the millisecond before, by fractions that its text doesn't show
	}
	if line.Timestamp.After(f.last) {
		f.last, f.behind = line.Timestamp, nil
		clear(f.given)
	}
	known := f.behind != nil || f.given[here]
	f.given[here] = true
	if f.behind != nil && *f.behind == here {
		f.behind = nil // those before it stand before what the caller has seen
	}
	return !known
}
