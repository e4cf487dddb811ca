package tests

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	niyanta "github.com/niyanta/niyanta-go-sdk"
)

// TestAgainstTheService holds the SDK against a real service: the calls first, all at once, then one after the other
// what is killed under them.
func TestAgainstTheService(t *testing.T) {
	t.Parallel()
	soon := []string{"NIYANTA_HEARTBEAT_INTERVAL_SECONDS=1", "NIYANTA_WORKER_LEASE_SECONDS=5"}
	d := startDev(t, soon, "--app", "app:worker", "--workers", "1")
	t.Run("calls", func(t *testing.T) {
		for name, test := range map[string]func(*testing.T, *dev){
			"a workload's life":   life,
			"how workloads end":   endings,
			"batches and lists":   batches,
			"configs":             configs,
			"account":             account,
			"administration":      administration,
			"join tokens, audit":  operators,
			"checkpoints":         checkpoints,
			"live feeds":          liveFeeds,
			"a log followed":      followedLog,
			"errors":              refusals,
			"idempotency":         idempotency,
			"large numbers":       largeNumbers,
			"health":              health,
			"the guide's program": grpcProgram,
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				test(t, d)
			})
		}
	})
	t.Run("the worker is killed while a workload is waited for", func(t *testing.T) { killedWorker(t, d) })
	t.Run("the coordinator restarts while a workload is watched", func(t *testing.T) { restartedCoordinator(t, d) })
	t.Run("the coordinator restarts while feed and log are followed", func(t *testing.T) { restartedFollowing(t, d) })
	t.Run("a thousand workloads and a restart", func(t *testing.T) { thousand(t, d) })
}

// limited is a context that ends a test which hangs.
func limited(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// must returns the value of a call that may not fail.
func must[T any](value T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

func submitCount(ctx context.Context, t *testing.T, client *niyanta.Client, to int) string {
	t.Helper()
	return must(client.Workloads.Submit(ctx, &niyanta.SubmitWorkloadRequest{
		WorkloadType: "count", InputParams: map[string]int{"to": to},
	}))(t).ID
}

// untilCheckpoint waits until the workload has saved so many checkpoints.
func untilCheckpoint(ctx context.Context, t *testing.T, client *niyanta.Client, id string, sequence int64) *niyanta.Workload {
	t.Helper()
	version := int64(0)
	for {
		found := must(client.Workloads.GetAfter(ctx, id, version, 10*time.Second))(t)
		if found.CheckpointSequence >= sequence {
			return found
		}
		if found.Status.IsTerminal() {
			t.Fatalf("%+v", found)
		}
		version = found.Version
	}
}

type counted struct {
	Number  int
	BegunAt int `json:"begun_at"`
}

func life(t *testing.T, d *dev) {
	ctx, client := limited(t), d.client()
	id := submitCount(ctx, t, client, 100)
	running := untilCheckpoint(ctx, t, client, id, 3)
	if running.Status != niyanta.StatusRunning || running.WorkerID == nil || running.ProgressMessage == nil || running.StartedAt == nil {
		t.Errorf("%+v", running)
	}
	paused := must(client.Workloads.Pause(ctx, id))(t)
	if paused.Status != niyanta.StatusPaused || paused.PausedAt == nil || paused.CheckpointSequence < 3 {
		t.Errorf("%+v", paused)
	}
	if _, err := client.Workloads.Pause(ctx, id); !errors.Is(err, niyanta.ErrInvalidState) {
		t.Error(err)
	}

	// Watched through its resume to its end, with its log.
	var versions []int64
	var statuses []niyanta.Status
	var lines []string
	for update, err := range client.Workloads.Watch(ctx, id, &niyanta.WatchRequest{Logs: true}) {
		if err != nil {
			t.Fatal(err)
		}
		if update.Type == niyanta.UpdateLogLine {
			lines = append(lines, update.Message)
			continue
		}
		versions = append(versions, update.Version)
		if len(statuses) == 0 || statuses[len(statuses)-1] != update.Status {
			statuses = append(statuses, update.Status)
		}
		if update.Status == niyanta.StatusPaused {
			resumed := must(client.Workloads.Resume(ctx, id))(t)
			if resumed.Status != niyanta.StatusPending || resumed.CheckpointSequence != paused.CheckpointSequence {
				t.Errorf("%+v", resumed)
			}
		}
	}
	if fmt.Sprint(statuses) != "[PAUSED PENDING SCHEDULED RUNNING COMPLETED]" {
		t.Error(statuses)
	}
	rising(t, versions)
	if len(lines) == 0 {
		t.Error("no log line came")
	}

	final := must(client.Workloads.WaitForCompletion(ctx, id))(t)
	var result counted
	if err := final.ResultData.Decode(&result); err != nil || result.Number != 100 || result.BegunAt != int(paused.CheckpointSequence) {
		t.Error(result, err)
	}
	if final.RetryCount != 0 || final.CompletedAt == nil || final.Version != versions[len(versions)-1] {
		t.Errorf("%+v", final)
	}

	events := must(niyanta.Collect(client.Workloads.IterateAudit(ctx, id, &niyanta.AuditRequest{Limit: 10})))(t)
	for i, event := range events {
		if event.ID != int64(i+1) {
			t.Errorf("event %d is number %d", i, event.ID)
		}
	}
	if first, last := events[0], events[len(events)-1]; first.Type != "workload.created" || first.ActorType != niyanta.ActorUser ||
		last.Type != "workload.completed" || last.ActorType != niyanta.ActorWorker {
		t.Errorf("%+v %+v", first, last)
	}

	all := must(niyanta.Collect(client.Workloads.IterateLogs(ctx, id, &niyanta.LogsRequest{Limit: 7})))(t)
	page := must(client.Workloads.Logs(ctx, id, &niyanta.LogsRequest{Limit: 1000}))(t)
	if len(all) < 100 || len(page.Logs) != len(all) || page.HasMore || all[0].Level != niyanta.LogInfo {
		t.Errorf("%d lines by pages of 7, %d in one", len(all), len(page.Logs))
	}
	if last := must(client.Workloads.Logs(ctx, id, &niyanta.LogsRequest{Tail: 1}))(t); last.Logs[0].Message != all[len(all)-1].Message {
		t.Errorf("%+v", last.Logs[0])
	}
	since := all[len(all)/2].Timestamp
	for _, line := range must(client.Workloads.Logs(ctx, id, &niyanta.LogsRequest{Limit: 1000, Since: since}))(t).Logs {
		if !line.Timestamp.After(since) {
			t.Errorf("%v isn't after %v", line.Timestamp, since)
		}
	}
}

func rising(t *testing.T, versions []int64) {
	t.Helper()
	for i := 1; i < len(versions); i++ {
		if versions[i] <= versions[i-1] {
			t.Errorf("version %d came after %d", versions[i], versions[i-1])
		}
	}
}

func endings(t *testing.T, d *dev) {
	ctx, client := limited(t), d.client()
	failing := must(client.Workloads.Submit(ctx, &niyanta.SubmitWorkloadRequest{WorkloadType: "hopeless"}))(t)
	_, err := client.Workloads.WaitForCompletion(ctx, failing.ID)
	var failed *niyanta.FailedError
	if !errors.As(err, &failed) || *failed.Workload.ErrorMessage != "there is no such file" {
		t.Error(err)
	}

	id := submitCount(ctx, t, client, 10_000)
	waiting := make(chan error, 1)
	go func() {
		_, err := client.Workloads.WaitForCompletion(ctx, id)
		waiting <- err
	}()
	untilCheckpoint(ctx, t, client, id, 1)
	if cancelled := must(client.Workloads.Cancel(ctx, id, &niyanta.CancelWorkloadRequest{Reason: "enough"}))(t); cancelled.CancelledAt == nil {
		t.Errorf("%+v", cancelled)
	}
	var cancelled *niyanta.CancelledError
	if err := <-waiting; !errors.As(err, &cancelled) || cancelled.Workload.Status != niyanta.StatusCancelled {
		t.Error(err)
	}
	if _, err := client.Workloads.Cancel(ctx, id, nil); !errors.Is(err, niyanta.ErrInvalidState) {
		t.Error(err)
	}

	// A caller who stops waiting changes nothing.
	id = submitCount(ctx, t, client, 60)
	briefly, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	if _, err := client.Workloads.WaitForCompletion(briefly, id); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	must(client.Workloads.WaitForCompletion(ctx, id))(t)
}

func batches(t *testing.T, d *dev) {
	ctx, client := limited(t), d.client()
	var wanted []*niyanta.SubmitWorkloadRequest
	for i := range 150 {
		wanted = append(wanted, &niyanta.SubmitWorkloadRequest{WorkloadType: "endless", InputParams: map[string]int{"number": i}, Priority: niyanta.Ptr(0)})
	}
	wanted = append(wanted, &niyanta.SubmitWorkloadRequest{WorkloadType: "unheard of"})
	batch := must(client.Workloads.SubmitBatch(ctx, &niyanta.SubmitBatchRequest{Workloads: wanted}))(t)
	if refusal := batch.Results[150].Error; batch.Accepted != 150 || batch.Rejected != 1 || !errors.Is(refusal, niyanta.ErrInvalidInput) || refusal.Details["supported_types"] == nil {
		t.Errorf("%+v", batch)
	}
	ids := map[string]bool{}
	for _, item := range batch.Results[:150] {
		ids[item.ID] = true
	}
	for workload, err := range client.Workloads.Iterate(ctx, &niyanta.ListWorkloadsRequest{WorkloadType: "endless", Limit: 40}) {
		if err != nil {
			t.Fatal(err)
		}
		delete(ids, workload.ID)
	}
	if len(ids) != 0 {
		t.Errorf("%d weren't listed", len(ids))
	}
	page := must(client.Workloads.List(ctx, &niyanta.ListWorkloadsRequest{WorkloadType: "endless", Limit: 5, Offset: niyanta.Ptr(10)}))(t)
	if len(page.Workloads) != 5 || !page.Pagination.HasMore || *page.Pagination.Offset != 10 || *page.Pagination.Total < 150 {
		t.Errorf("%+v", page.Pagination)
	}

	cancelled := must(client.Workloads.CancelBatch(ctx, &niyanta.CancelBatchRequest{WorkloadIDs: []string{batch.Results[0].ID, "wl_unheard_of"}, Reason: "enough"}))(t)
	if cancelled.Cancelled != 1 || cancelled.Failed != 1 || !errors.Is(cancelled.Results[1].Error, niyanta.ErrNotFound) {
		t.Errorf("%+v", cancelled)
	}
	for _, status := range []niyanta.Status{niyanta.StatusPending, niyanta.StatusScheduled, niyanta.StatusRunning} {
		must(client.Workloads.CancelBatch(ctx, &niyanta.CancelBatchRequest{Filter: &niyanta.CancelFilter{Status: status, WorkloadType: "endless"}}))(t)
	}
	for _, item := range batch.Results[:150] {
		var ended *niyanta.CancelledError
		if _, err := client.Workloads.WaitForCompletion(ctx, item.ID); !errors.As(err, &ended) {
			// One that changed its status between two filters is still there.
			must(client.Workloads.Cancel(ctx, item.ID, nil))(t)
		}
	}
}

func configs(t *testing.T, d *dev) {
	ctx, client := limited(t), d.client()
	created := must(client.Configs.Create(ctx, &niyanta.CreateConfigRequest{
		WorkloadType: "resize", Description: niyanta.Ptr("images"), ConfigJSON: niyanta.Object{"quality": 90},
		ResourceLimits: &niyanta.ResourceLimitsRequest{MemoryMB: niyanta.Ptr(256)}, MaxRetries: niyanta.Ptr(0),
		InputSchema: niyanta.Object{"required": []string{"folder"}},
	}))(t)
	if _, err := client.Configs.Create(ctx, &niyanta.CreateConfigRequest{WorkloadType: "resize"}); !errors.Is(err, niyanta.ErrConflict) {
		t.Error(err)
	}
	if _, err := client.Workloads.Submit(ctx, &niyanta.SubmitWorkloadRequest{WorkloadType: "resize"}); !errors.Is(err, niyanta.ErrInvalidInput) {
		t.Error(err)
	}
	changed := must(client.Configs.Update(ctx, created.ID, &niyanta.UpdateConfigRequest{TimeoutSeconds: niyanta.Ptr(60)}))(t)
	found := must(client.Configs.Get(ctx, created.ID))(t)
	if *changed.TimeoutSeconds != 60 || found.Description != "images" || found.MaxRetries != 0 || found.ResourceLimits.MemoryMB != 256 ||
		found.ConfigJSON["quality"] != json.Number("90") || found.InputSchema == nil {
		t.Errorf("%+v", found)
	}
	all := must(niyanta.Collect(client.Configs.Iterate(ctx, &niyanta.ListConfigsRequest{Limit: 1})))(t)
	if len(all) != 1 || all[0].ID != created.ID {
		t.Errorf("%+v", all)
	}
	if err := client.Configs.Delete(ctx, created.ID); err != nil {
		t.Error(err)
	}
	if err := client.Configs.Delete(ctx, created.ID); !errors.Is(err, niyanta.ErrNotFound) {
		t.Error(err)
	}
}

func account(t *testing.T, d *dev) {
	ctx, client := limited(t), d.client()
	found := must(client.Customer.Get(ctx))(t)
	if found.ID != "cust_dev" || found.Tier != niyanta.TierEnterprise || found.Status != niyanta.CustomerActive || found.Limits.Burst == 0 || found.CreatedAt.IsZero() {
		t.Errorf("%+v", found)
	}
	must(client.Workloads.WaitForCompletion(ctx, submitCount(ctx, t, client, 1)))(t)
	today := niyanta.DateOf(time.Now().UTC())
	request := &niyanta.StatsRequest{StartDate: niyanta.DateOf(time.Now().UTC().AddDate(0, 0, -1)), EndDate: today}
	stats := must(client.Customer.Stats(ctx, request))(t)
	if stats.EndDate != today || stats.Summary.CompletedWorkloads == 0 || len(stats.ByWorkloadType) == 0 || stats.ByDay != nil {
		t.Errorf("%+v", stats)
	}
	request.GroupBy = niyanta.GroupByHour
	if stats = must(client.Customer.Stats(ctx, request))(t); len(stats.ByHour) == 0 || stats.ByHour[0].Start.IsZero() {
		t.Errorf("%+v", stats)
	}
}

func administration(t *testing.T, d *dev) {
	ctx, admin := limited(t), d.admin()
	created := must(admin.CreateCustomer(ctx, &niyanta.CreateCustomerRequest{
		Name: "Acme Corp", ID: "cust_acme", Tier: niyanta.TierPremium, Limits: &niyanta.LimitsRequest{MaxQueueDepth: niyanta.Value(7)},
	}))(t)
	if created.Limits.MaxQueueDepth != 7 || created.Limits.RateLimitPerSec != 50 {
		t.Errorf("%+v", created)
	}
	changed := must(admin.UpdateCustomer(ctx, "cust_acme", &niyanta.UpdateCustomerRequest{
		Limits: &niyanta.LimitsRequest{MaxQueueDepth: niyanta.Null[int](), Burst: niyanta.Value(3)},
	}))(t)
	if changed.Limits.MaxQueueDepth != 2000 || changed.Limits.Burst != 3 || changed.Name != "Acme Corp" {
		t.Errorf("%+v", changed)
	}
	expiry := time.Now().Add(time.Hour).Truncate(time.Second)
	key := must(admin.CreateKey(ctx, "cust_acme", &niyanta.CreateKeyRequest{Name: "build", ExpiresAt: &expiry}))(t)
	theirs := niyanta.NewClient(key.APIKey, niyanta.WithBaseURL(d.credentials.BaseURL))
	if account := must(theirs.Customer.Get(ctx))(t); account.ID != "cust_acme" || !key.ExpiresAt.Equal(expiry) {
		t.Errorf("%+v %+v", account, key)
	}
	if _, err := theirs.Admin.ListWorkers(ctx, nil); !errors.Is(err, niyanta.ErrForbidden) {
		t.Error(err)
	}
	if keys := must(niyanta.Collect(admin.IterateKeys(ctx, "cust_acme", nil)))(t); len(keys) != 1 || keys[0].ID != key.ID || keys[0].Status != niyanta.KeyActive {
		t.Errorf("%+v", keys)
	}
	if err := admin.RevokeKey(ctx, "cust_acme", key.ID); err != nil {
		t.Error(err)
	}
	if customers := must(niyanta.Collect(admin.IterateCustomers(ctx, &niyanta.ListCustomersRequest{Limit: 1})))(t); len(customers) != 2 {
		t.Errorf("%+v", customers)
	}
	workers := must(niyanta.Collect(admin.IterateWorkers(ctx, &niyanta.ListWorkersRequest{Status: niyanta.WorkerHealthy, Limit: 1})))(t)
	if len(workers) != 1 || workers[0].CapacityTotal != 8 || workers[0].LastHeartbeat.IsZero() {
		t.Errorf("%+v", workers)
	}
	if _, err := admin.UndrainWorker(ctx, "unheard_of"); !errors.Is(err, niyanta.ErrNotFound) {
		t.Error(err)
	}
}

func refusals(t *testing.T, d *dev) {
	ctx, client := limited(t), d.client()
	_, err := client.Workloads.Submit(ctx, &niyanta.SubmitWorkloadRequest{WorkloadType: "unheard of"})
	var failure *niyanta.APIError
	if !errors.As(err, &failure) || failure.StatusCode != 400 || failure.Details["supported_types"] == nil || failure.RequestID == "" {
		t.Error(err)
	}
	for _, id := range []string{"wl_unheard_of", "..", "a b", "ä/?#%"} {
		if _, err := client.Workloads.Get(ctx, id); !errors.Is(err, niyanta.ErrNotFound) && !errors.Is(err, niyanta.ErrInvalidInput) {
			t.Errorf("%q: %v", id, err)
		}
	}
	if _, err := client.Workloads.WaitForCompletion(ctx, "wl_unheard_of"); !errors.Is(err, niyanta.ErrNotFound) {
		t.Error(err)
	}
	stranger := niyanta.NewClient("nyt_cust_dev_0000000000000000000000000000000x", niyanta.WithBaseURL(d.credentials.BaseURL))
	if _, err := stranger.Customer.Get(ctx); !errors.Is(err, niyanta.ErrUnauthorized) {
		t.Error(err)
	}
	if _, err := stranger.Workloads.WaitForCompletion(ctx, "wl_unheard_of"); !errors.Is(err, niyanta.ErrUnauthorized) {
		t.Error(err)
	}
}

func idempotency(t *testing.T, d *dev) {
	ctx, client := limited(t), d.client()
	key := niyanta.WithIdempotencyKey(fmt.Sprint("report-", time.Now().UnixNano()))
	request := &niyanta.SubmitWorkloadRequest{WorkloadType: "echo", InputParams: niyanta.Object{"n": 1}}
	first := must(client.Workloads.Submit(ctx, request, key))(t)
	if again := must(client.Workloads.Submit(ctx, request, key))(t); again.ID != first.ID {
		t.Error(first.ID, again.ID)
	}
	if _, err := client.Workloads.Submit(ctx, &niyanta.SubmitWorkloadRequest{WorkloadType: "echo"}, key); !errors.Is(err, niyanta.ErrConflict) {
		t.Error(err)
	}
}

func largeNumbers(t *testing.T, d *dev) {
	ctx, client := limited(t), d.client()
	submitted := must(client.Workloads.Submit(ctx, &niyanta.SubmitWorkloadRequest{
		WorkloadType: "echo", InputParams: niyanta.Object{"n": int64(9223372036854775807), "list": []any{1.5, nil, "ä\u2028<"}},
	}))(t)
	final := must(client.Workloads.WaitForCompletion(ctx, submitted.ID))(t)
	var result struct {
		N    int64
		List []any
	}
	if err := final.ResultData.Decode(&result); err != nil || result.N != 9223372036854775807 || result.List[2] != "ä\u2028<" {
		t.Error(result, err)
	}
}

func health(t *testing.T, d *dev) {
	ctx, client := limited(t), d.client()
	if found := must(client.Health(ctx))(t); found.Status != "healthy" {
		t.Errorf("%+v", found)
	}
	if found := must(client.Ready(ctx))(t); !found.IsReady() || !found.Dependencies.LeaderElected {
		t.Errorf("%+v", found)
	}
}
