package tests

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	niyanta "github.com/niyanta/niyanta-go-sdk"
)

func killedWorker(t *testing.T, d *dev) {
	ctx, client := limited(t), d.client()
	id := submitCount(ctx, t, client, 200)
	type outcome struct {
		workload *niyanta.Workload
		err      error
	}
	waiting := make(chan outcome, 1)
	go func() {
		final, err := client.Workloads.WaitForCompletion(ctx, id)
		waiting <- outcome{final, err}
	}()
	untilCheckpoint(ctx, t, client, id, 10)
	d.kill(t, "worker-1")
	end := <-waiting
	final := must(end.workload, end.err)(t)
	var result counted
	if err := final.ResultData.Decode(&result); err != nil || result.Number != 200 || result.BegunAt < 10 || final.RetryCount != 1 {
		t.Errorf("the kill changed nothing: %+v %v %+v", result, err, final)
	}
}

func restartedCoordinator(t *testing.T, d *dev) {
	ctx, client := limited(t), d.client()
	id := submitCount(ctx, t, client, 200)
	var versions []int64
	var last *niyanta.Update
	killed := false
	for update, err := range client.Workloads.Watch(ctx, id, nil) {
		if err != nil {
			t.Fatalf("%v\n%s", err, d.log())
		}
		versions = append(versions, update.Version)
		if last = update; update.ProgressPercent >= 10 && !killed {
			killed = true
			d.kill(t, "coordinator")
		}
	}
	if !killed || last.Type != niyanta.UpdateCompleted || last.ResultData["number"] != json.Number("200") {
		t.Errorf("%v %+v", killed, last)
	}
	rising(t, versions)
}

func restartedFollowing(t *testing.T, d *dev) {
	ctx, client := limited(t), d.client()
	id := submitCount(ctx, t, client, 200)
	type followed struct {
		lines []*niyanta.LogLine
		err   error
	}
	log := make(chan followed, 1)
	go func() {
		lines, err := niyanta.Collect(client.Workloads.FollowLogs(ctx, id, nil))
		log <- followed{lines, err}
	}()
	readies, killed, ended := 0, false, false
	missed := niyanta.MissedReason("")
	for event, err := range client.Workloads.Events(ctx, nil) {
		if err != nil {
			t.Fatalf("%v\n%s", err, d.log())
		}
		switch event.Type {
		case niyanta.LiveReady:
			readies++
		case niyanta.LiveMissed:
			missed = event.Reason
			ended = must(client.Workloads.Get(ctx, id))(t).Status.IsTerminal() // it may have ended meanwhile
		}
		if event.WorkloadID == id && event.ProgressPercent >= 10 && !killed {
			killed = true
			d.kill(t, "coordinator")
		}
		if ended = ended || event.WorkloadID == id && event.Status.IsTerminal(); ended {
			break
		}
	}
	if !killed || readies < 2 || missed != niyanta.MissedUnknownID {
		t.Errorf("killed %v, %d times ready, missed for %q", killed, readies, missed)
	}
	got := <-log
	lines := must(got.lines, got.err)(t)
	all := must(niyanta.Collect(client.Workloads.IterateLogs(ctx, id, nil)))(t)
	for i, line := range lines {
		if i < len(all) && (line.Attempt != all[i].Attempt || line.Sequence != all[i].Sequence) {
			t.Fatalf("line %d is %+v, not %+v", i, line, all[i])
		}
	}
	if len(lines) != len(all) || len(all) < 200 {
		t.Errorf("%d lines were followed, there are %d", len(lines), len(all))
	}
}

// thousand submits a thousand workloads from 32 goroutines and waits for each, while the coordinator is killed once.
func thousand(t *testing.T, d *dev) {
	const workloads, goroutines = 1000, 32
	ctx, client := limited(t), d.client(niyanta.WithMaxRetries(20)) // a restart may take a while on a busy machine
	// The rate limit is left out of it: it would only make this slow.
	must(d.admin().UpdateCustomer(ctx, "cust_dev", &niyanta.UpdateCustomerRequest{
		Limits: &niyanta.LimitsRequest{RateLimitPerSec: niyanta.Value(1e5), Burst: niyanta.Value(100_000)},
	}))(t)
	run := fmt.Sprint(time.Now().UnixNano())
	numbers := make(chan int)
	results := make(chan [2]string, workloads)
	var waiting sync.WaitGroup
	for range goroutines {
		waiting.Add(1)
		go func() {
			defer waiting.Done()
			for number := range numbers {
				id, got, err := echoed(ctx, client, run, number)
				if err != nil {
					t.Errorf("workload %d: %v", number, err)
					continue
				}
				results <- [2]string{id, got}
			}
		}()
	}
	killed := make(chan struct{})
	for number := range workloads {
		if number == workloads/3 {
			go func() {
				defer close(killed)
				d.kill(t, "coordinator")
			}()
		}
		numbers <- number
	}
	close(numbers)
	waiting.Wait()
	<-killed
	close(results)

	ids, values := map[string]bool{}, map[string]bool{}
	for result := range results {
		ids[result[0]], values[result[1]] = true, true
	}
	if len(ids) != workloads || len(values) != workloads {
		t.Errorf("%d workloads with %d results", len(ids), len(values))
	}
	stored := 0
	for workload, err := range client.Workloads.Iterate(ctx, &niyanta.ListWorkloadsRequest{WorkloadType: "echo"}) {
		if err != nil {
			t.Fatal(err)
		}
		if !ids[workload.ID] {
			whole := must(client.Workloads.Get(ctx, workload.ID))(t)
			if whole.InputParams["run"] == run {
				t.Errorf("%s was made twice: %v", workload.ID, whole.InputParams)
			}
			continue
		}
		stored++
	}
	if stored != workloads {
		t.Errorf("the service has %d of them", stored)
	}
}

func echoed(ctx context.Context, client *niyanta.Client, run string, number int) (id, result string, err error) {
	submitted, err := client.Workloads.Submit(ctx, &niyanta.SubmitWorkloadRequest{
		WorkloadType: "echo", InputParams: niyanta.Object{"run": run, "number": number},
	})
	if err != nil {
		return "", "", err
	}
	final, err := client.Workloads.WaitForCompletion(ctx, submitted.ID)
	if err != nil {
		return "", "", err
	}
	if got := fmt.Sprint(final.ResultData["number"]); got != fmt.Sprint(number) {
		return "", "", fmt.Errorf("%s has the result %s", submitted.ID, got)
	}
	return submitted.ID, fmt.Sprint(final.ResultData["number"]), nil
}
