package niyanta_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/coder/websocket"
	niyanta "github.com/niyanta/niyanta-go-sdk"
)

var ctx = context.Background()

// newClient returns a client of a service that gives these answers, each for a call such as "GET /v1/customer".
func newClient(answers map[string]string) *niyanta.Client {
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer, ok := answers[r.Method+" "+r.URL.RequestURI()]
		if !ok {
			w.WriteHeader(http.StatusNotFound)
			answer = `{"error": {"code": "NOT_FOUND", "message": "There is no such workload", "details": {}, "request_id": "req_1"}}`
		}
		_, _ = io.WriteString(w, answer)
	}))
	return niyanta.NewClient("nyt_cust_a_key", niyanta.WithBaseURL(service.URL))
}

func Example() {
	client := newClient(map[string]string{
		"POST /v1/workloads":     `{"workload_id": "wl_1", "status": "PENDING", "created_at": "2025-10-27T12:34:56.000Z", "version": 1}`,
		"GET /v1/workloads/wl_1": `{"workload_id": "wl_1", "status": "COMPLETED", "result_data": {"frames": 250}, "version": 5}`,
	})
	workload, err := client.Workloads.Submit(ctx, &niyanta.SubmitWorkloadRequest{
		WorkloadType: "video_transcoding",
		InputParams:  map[string]any{"video_url": "s3://input/video123.mp4"},
	})
	if err != nil {
		log.Fatal(err)
	}
	final, err := client.Workloads.WaitForCompletion(ctx, workload.ID)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("Result:", final.ResultData)
	// Output: Result: map[frames:250]
}

func ExampleNewClient() {
	// Address and key from the environment, or from a niyanta dev in this folder.
	_ = niyanta.NewClient("")

	// All explicit, and ready for restarts of the service.
	_ = niyanta.NewClient("nyt_cust_acme_0123456789abcdefghijklmnopqrstuv",
		niyanta.WithBaseURL("https://api.niyanta.example.com"),
		niyanta.WithMaxRetries(20),
		niyanta.WithTimeout(10*time.Second),
	)
}

func ExampleWorkloadsService_Submit() {
	client := newClient(map[string]string{
		"POST /v1/workloads": `{"workload_id": "wl_1", "status": "PENDING", "created_at": "2025-10-27T12:34:56.000Z", "version": 1}`,
	})
	type input struct {
		Month string `json:"month"`
	}
	workload, err := client.Workloads.Submit(ctx, &niyanta.SubmitWorkloadRequest{
		WorkloadType:   "report_generation",
		InputParams:    input{Month: "2025-10"},
		Priority:       niyanta.Ptr(50),
		TimeoutSeconds: 3600,
		AffinityRules: &niyanta.AffinityRules{
			Hard: &niyanta.AffinityConstraint{WorkerTags: map[string]string{"region": "eu"}},
		},
	}, niyanta.WithIdempotencyKey("report-2025-10"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(workload.ID, workload.Status)
	// Output: wl_1 PENDING
}

func ExampleWorkloadsService_SubmitBatch() {
	client := newClient(map[string]string{
		"POST /v1/workloads/batch": `{"accepted": 1, "rejected": 1, "results": [
			{"index": 0, "workload_id": "wl_1", "status": "PENDING", "version": 1},
			{"index": 1, "error": {"code": "INVALID_INPUT", "message": "Workload type 'x' is not supported", "details": {}}}]}`,
	})
	batch, err := client.Workloads.SubmitBatch(ctx, &niyanta.SubmitBatchRequest{
		Workloads: []*niyanta.SubmitWorkloadRequest{{WorkloadType: "report_generation"}, {WorkloadType: "x"}},
	})
	if err != nil {
		log.Fatal(err)
	}
	for _, item := range batch.Results {
		if item.Error != nil {
			fmt.Println(item.Index, item.Error)
			continue
		}
		fmt.Println(item.Index, item.ID)
	}
	// Output:
	// 0 wl_1
	// 1 niyanta: INVALID_INPUT: Workload type 'x' is not supported
}

func ExampleWorkloadsService_WaitForCompletion() {
	client := newClient(map[string]string{
		"GET /v1/workloads/wl_1": `{"workload_id": "wl_1", "status": "FAILED", "error_message": "there is no such file", "retry_count": 3, "version": 9}`,
	})
	bounded, cancel := context.WithTimeout(ctx, time.Hour)
	defer cancel()
	final, err := client.Workloads.WaitForCompletion(bounded, "wl_1")
	var failed *niyanta.FailedError
	var cancelled *niyanta.CancelledError
	switch {
	case errors.As(err, &failed):
		fmt.Println("failed:", *failed.Workload.ErrorMessage)
	case errors.As(err, &cancelled):
		fmt.Println("cancelled at", cancelled.Workload.CancelledAt)
	case errors.Is(err, context.DeadlineExceeded):
		fmt.Println("not yet; it goes on")
	case err != nil:
		log.Fatal(err)
	default:
		fmt.Println(final.ResultData)
	}
	// Output: failed: there is no such file
}

func ExampleWorkloadsService_Watch() {
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		link, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		for _, message := range []string{
			`{"type": "status_update", "workload_id": "wl_1", "version": 2, "status": "RUNNING", "progress_percent": 40}`,
			`{"type": "log_line", "workload_id": "wl_1", "level": "INFO", "message": "half way", "details": {}}`,
			`{"type": "completed", "workload_id": "wl_1", "version": 5, "status": "COMPLETED", "progress_percent": 100, "result_data": {}}`,
		} {
			if link.Write(r.Context(), websocket.MessageText, []byte(message)) != nil {
				return
			}
		}
		_ = link.Close(websocket.StatusNormalClosure, "")
	}))
	client := niyanta.NewClient("nyt_cust_a_key", niyanta.WithBaseURL(service.URL))

	for update, err := range client.Workloads.Watch(ctx, "wl_1", &niyanta.WatchRequest{Logs: true}) {
		if err != nil {
			log.Fatal(err)
		}
		if update.Type == niyanta.UpdateLogLine {
			fmt.Println(update.Level, update.Message)
			continue
		}
		fmt.Println(update.Status, update.ProgressPercent)
	}
	// Output:
	// RUNNING 40
	// INFO half way
	// COMPLETED 100
}

func ExampleWorkloadsService_Events() {
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "id: 5f3a.0\nevent: ready\ndata: {\"type\": \"ready\", \"resumed\": false}\n\n"+
			"id: 5f3a.1\nevent: workload\ndata: {\"type\": \"workload\", \"workload_id\": \"wl_1\", \"status\": \"RUNNING\", \"version\": 5}\n\n")
	}))
	client := niyanta.NewClient("nyt_cust_a_key", niyanta.WithBaseURL(service.URL))

	shown := map[string]int64{}
	for event, err := range client.Workloads.Events(ctx, nil) {
		if err != nil {
			log.Fatal(err)
		}
		switch event.Type {
		case niyanta.LiveReady, niyanta.LiveMissed:
			fmt.Println("read the list") // by client.Workloads.Iterate
		case niyanta.LiveWorkload:
			if event.Version > shown[event.WorkloadID] {
				shown[event.WorkloadID] = event.Version
				fmt.Println(event.WorkloadID, event.Status)
			}
		}
		if len(shown) == 1 {
			break
		}
	}
	// Output:
	// read the list
	// wl_1 RUNNING
}

func ExampleCheckpointsService_Download() {
	client := newClient(map[string]string{
		"GET /v1/workloads/wl_1/checkpoints":   `{"workload_id": "wl_1", "checkpoints": [{"sequence": 7, "encoding": "json"}]}`,
		"GET /v1/workloads/wl_1/checkpoints/7": `{"number": 7}`,
	})
	kept, err := client.Checkpoints.List(ctx, "wl_1")
	if err != nil {
		log.Fatal(err)
	}
	saved, err := client.Checkpoints.Download(ctx, "wl_1", kept.Checkpoints[0].Sequence)
	if err != nil {
		log.Fatal(err)
	}
	defer saved.Close()
	text, err := io.ReadAll(saved)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(text))
	// Output: {"number": 7}
}

func ExampleWorkloadsService_Iterate() {
	client := newClient(map[string]string{
		"GET /v1/workloads?limit=100&status=FAILED": `{"workloads": [{"workload_id": "wl_1", "retry_count": 3}],
			"pagination": {"has_more": true, "next_cursor": "c2"}}`,
		"GET /v1/workloads?cursor=c2&limit=100&status=FAILED": `{"workloads": [{"workload_id": "wl_2", "retry_count": 0}],
			"pagination": {"has_more": false}}`,
	})
	for workload, err := range client.Workloads.Iterate(ctx, &niyanta.ListWorkloadsRequest{Status: niyanta.StatusFailed}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(workload.ID, workload.RetryCount)
	}
	// Output:
	// wl_1 3
	// wl_2 0
}

func ExampleCollect() {
	client := newClient(map[string]string{
		"GET /v1/workloads/wl_1/audit": `{"workload_id": "wl_1", "events": [{"event_id": 1, "event_type": "workload.created"}], "pagination": {"has_more": false}}`,
	})
	events, err := niyanta.Collect(client.Workloads.IterateAudit(ctx, "wl_1", nil))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(events), events[0].Type)
	// Output: 1 workload.created
}

func ExampleAPIError() {
	client := newClient(nil)
	_, err := client.Workloads.Get(ctx, "wl_unheard_of")
	if errors.Is(err, niyanta.ErrNotFound) {
		fmt.Println("there is none")
	}
	var failure *niyanta.APIError
	if errors.As(err, &failure) {
		fmt.Println(failure.StatusCode, failure.Code, failure.RequestID)
	}
	// Output:
	// there is none
	// 404 NOT_FOUND req_1
}

func ExampleObject_Decode() {
	client := newClient(map[string]string{
		"GET /v1/workloads/wl_1": `{"workload_id": "wl_1", "status": "COMPLETED", "result_data": {"rows": 9007199254740993}, "version": 5}`,
	})
	workload, err := client.Workloads.Get(ctx, "wl_1")
	if err != nil {
		log.Fatal(err)
	}
	var report struct{ Rows int64 }
	if err := workload.ResultData.Decode(&report); err != nil {
		log.Fatal(err)
	}
	fmt.Println(report.Rows)
	// Output: 9007199254740993
}

func ExampleConfigsService_Create() {
	client := newClient(map[string]string{
		"POST /v1/workload-configs": `{"config_id": "wlcfg_1", "workload_type": "resize", "created_at": "2025-10-27T12:34:56.000Z"}`,
	})
	config, err := client.Configs.Create(ctx, &niyanta.CreateConfigRequest{
		WorkloadType:   "resize",
		ResourceLimits: &niyanta.ResourceLimitsRequest{CPUCores: niyanta.Ptr(2.0), MemoryMB: niyanta.Ptr(2048)},
		MaxRetries:     niyanta.Ptr(5),
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(config.ID)
	// Output: wlcfg_1
}

func ExampleCustomerService_Stats() {
	client := newClient(map[string]string{
		"GET /v1/customer/stats?end_date=2025-10-31&start_date=2025-10-01": `{"start_date": "2025-10-01", "end_date": "2025-10-31",
			"summary": {"total_workloads": 3, "completed_workloads": 2, "failed_workloads": 1}}`,
	})
	stats, err := client.Customer.Stats(ctx, &niyanta.StatsRequest{
		StartDate: niyanta.Date{Year: 2025, Month: time.October, Day: 1},
		EndDate:   niyanta.Date{Year: 2025, Month: time.October, Day: 31},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(stats.StartDate, stats.Summary.CompletedWorkloads)
	// Output: 2025-10-01 2
}

func ExampleAdminService_UpdateCustomer() {
	client := newClient(map[string]string{
		"PATCH /v1/admin/customers/cust_acme": `{"customer_id": "cust_acme", "limits": {"max_queue_depth": 5000, "burst": 200}}`,
	})
	customer, err := client.Admin.UpdateCustomer(ctx, "cust_acme", &niyanta.UpdateCustomerRequest{
		Limits: &niyanta.LimitsRequest{
			MaxQueueDepth: niyanta.Value(5000),
			Burst:         niyanta.Null[int](), // the tier's figure again
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(customer.Limits.MaxQueueDepth, customer.Limits.Burst)
	// Output: 5000 200
}
