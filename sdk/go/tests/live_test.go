package tests

import (
	"errors"
	"iter"
	"slices"
	"testing"

	niyanta "github.com/niyanta/niyanta-go-sdk"
)

// nextLive reads a feed until an event fits.
func nextLive(t *testing.T, next func() (*niyanta.LiveEvent, error, bool), fits func(*niyanta.LiveEvent) bool) *niyanta.LiveEvent {
	t.Helper()
	for {
		event, err, ok := next()
		if err != nil || !ok {
			t.Fatal("the feed has ended: ", err)
		}
		if fits(event) {
			return event
		}
	}
}

func isOfType(wanted niyanta.LiveEventType) func(*niyanta.LiveEvent) bool {
	return func(event *niyanta.LiveEvent) bool { return event.Type == wanted }
}

func liveFeeds(t *testing.T, d *dev) {
	ctx, client := limited(t), d.client()
	next, stop := iter.Pull2(client.Workloads.Events(ctx, nil))
	defer stop()
	if opened := nextLive(t, next, isOfType(niyanta.LiveReady)); opened.Resumed || opened.ID == "" {
		t.Errorf("%+v", opened)
	}
	id := submitCount(ctx, t, client, 20)
	var statuses []niyanta.Status
	last := nextLive(t, next, func(event *niyanta.LiveEvent) bool {
		if event.WorkloadID == id {
			statuses = append(statuses, event.Status)
		}
		return event.WorkloadID == id && event.Status.IsTerminal()
	})
	if last.Status != niyanta.StatusCompleted || last.WorkloadType != "count" || last.CustomerID != "cust_dev" || last.Version < 4 ||
		last.Generation != 1 || last.ProgressPercent != 100 || last.Timestamp == nil || last.Message == nil {
		t.Errorf("%+v", last)
	}
	if !slices.Contains(statuses, niyanta.StatusRunning) {
		t.Error(statuses)
	}
	stop()

	// Whoever comes back goes on behind what was seen.
	next, stop = iter.Pull2(client.Workloads.Events(ctx, &niyanta.EventsRequest{LastEventID: last.ID}))
	defer stop()
	if opened := nextLive(t, next, isOfType(niyanta.LiveReady)); !opened.Resumed {
		t.Errorf("%+v", opened)
	}
	stop()
	next, stop = iter.Pull2(client.Workloads.Events(ctx, &niyanta.EventsRequest{LastEventID: "unheard.1"}))
	defer stop()
	if missed := nextLive(t, next, isOfType(niyanta.LiveMissed)); missed.Reason != niyanta.MissedUnknownID {
		t.Errorf("%+v", missed)
	}
	stop()

	next, stop = iter.Pull2(d.admin().Events(ctx, nil))
	defer stop()
	nextLive(t, next, isOfType(niyanta.LiveReady))
	key := must(d.admin().CreateKey(ctx, "cust_dev", &niyanta.CreateKeyRequest{Name: "followed"}))(t)
	if changed := nextLive(t, next, isOfType(niyanta.LiveCustomer)); changed.CustomerID == "" {
		t.Errorf("%+v", changed)
	}
	if err := d.admin().RevokeKey(ctx, "cust_dev", key.ID); err != nil {
		t.Error(err)
	}
	for _, err := range client.Admin.Events(ctx, nil) {
		if !errors.Is(err, niyanta.ErrForbidden) {
			t.Error(err)
		}
	}
}

func followedLog(t *testing.T, d *dev) {
	ctx, client := limited(t), d.client()
	id := submitCount(ctx, t, client, 80)
	name := func(line *niyanta.LogLine) [2]int64 { return [2]int64{line.Attempt, line.Sequence} }
	var lines, tail [][2]int64
	for line, err := range client.Workloads.FollowLogs(ctx, id, nil) {
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, name(line))
	}
	var all [][2]int64
	for _, line := range must(niyanta.Collect(client.Workloads.IterateLogs(ctx, id, nil)))(t) {
		all = append(all, name(line))
	}
	if !slices.Equal(lines, all) || len(all) < 80 {
		t.Errorf("%d lines were followed, there are %d", len(lines), len(all))
	}
	for line, err := range client.Workloads.FollowLogs(ctx, id, &niyanta.FollowLogsRequest{Tail: 3, Level: niyanta.LogInfo}) {
		if err != nil {
			t.Fatal(err)
		}
		tail = append(tail, name(line))
	}
	if !slices.Equal(tail, all[len(all)-3:]) {
		t.Error(tail, all[len(all)-3:])
	}
}
