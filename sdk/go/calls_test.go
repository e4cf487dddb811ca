package niyanta

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

var noon = time.Date(2025, 10, 27, 12, 0, 0, 5_000_000, time.FixedZone("CET", 3600))

// TestRequests says of each method what it sends.
func TestRequests(t *testing.T) {
	for _, row := range []struct {
		name, want, body string
		answer           string
		call             func(context.Context, *Client) error
	}{
		{"Submit", "POST /workloads",
			`{"workload_type":"count","input_params":{"to":3},"priority":0,"affinity_rules":{"hard_affinity":{"worker_tags":{"hardware":"gpu"}},"anti_affinity":{"workload_types":["x"]}},"timeout_seconds":60}`,
			submitted, func(ctx context.Context, c *Client) error {
				return second(c.Workloads.Submit(ctx, &SubmitWorkloadRequest{
					WorkloadType: "count",
					InputParams: struct {
						To int `json:"to"`
					}{3},
					Priority: Ptr(0),
					AffinityRules: &AffinityRules{
						Hard: &AffinityConstraint{WorkerTags: map[string]string{"hardware": "gpu"}},
						Anti: &AffinityConstraint{WorkloadTypes: []string{"x"}},
					},
					TimeoutSeconds: 60,
				}))
			}},
		{"Submit without input", "POST /workloads", `{"workload_type":"count","input_params":{}}`, submitted,
			func(ctx context.Context, c *Client) error {
				return second(c.Workloads.Submit(ctx, &SubmitWorkloadRequest{WorkloadType: "count"}))
			}},
		{"SubmitBatch", "POST /workloads/batch",
			`{"workloads":[{"workload_type":"count","input_params":{}},{"workload_type":"count","input_params":{"to":3}}]}`,
			`{"results": [], "accepted": 0, "rejected": 0}`, func(ctx context.Context, c *Client) error {
				return second(c.Workloads.SubmitBatch(ctx, &SubmitBatchRequest{[]*SubmitWorkloadRequest{{WorkloadType: "count"}, submission}}))
			}},
		{"SubmitBatch of nothing", "POST /workloads/batch", `{"workloads":[]}`, `{}`, func(ctx context.Context, c *Client) error {
			return second(c.Workloads.SubmitBatch(ctx, nil))
		}},
		{"CancelBatch by ids", "POST /workloads/batch/cancel", `{"workload_ids":["wl_1","wl_2"],"reason":"why"}`, `{}`,
			func(ctx context.Context, c *Client) error {
				return second(c.Workloads.CancelBatch(ctx, &CancelBatchRequest{WorkloadIDs: []string{"wl_1", "wl_2"}, Reason: "why"}))
			}},
		{"CancelBatch by filter", "POST /workloads/batch/cancel",
			`{"filter":{"status":"PENDING","created_before":"2025-10-27T12:00:00.005+01:00"}}`, `{}`,
			func(ctx context.Context, c *Client) error {
				return second(c.Workloads.CancelBatch(ctx, &CancelBatchRequest{Filter: &CancelFilter{Status: StatusPending, CreatedBefore: &noon}}))
			}},
		{"Get", "GET /workloads/wl_1", "", `{}`, func(ctx context.Context, c *Client) error {
			return second(c.Workloads.Get(ctx, "wl_1"))
		}},
		{"Get of a strange id", "GET /workloads/..%2Fcustomer%3Fa=%2520%C3%A4", "", `{}`, func(ctx context.Context, c *Client) error {
			return second(c.Workloads.Get(ctx, "../customer?a=%20ä"))
		}},
		{"Get of dots", "GET /workloads/%2E%2E", "", `{}`, func(ctx context.Context, c *Client) error {
			return second(c.Workloads.Get(ctx, ".."))
		}},
		{"GetAfter", "GET /workloads/wl_1?version=0&wait_seconds=30", "", `{}`, func(ctx context.Context, c *Client) error {
			return second(c.Workloads.GetAfter(ctx, "wl_1", 0, 30*time.Second))
		}},
		{"List", "GET /workloads", "", `{}`, func(ctx context.Context, c *Client) error {
			return second(c.Workloads.List(ctx, nil))
		}},
		{"List with everything",
			"GET /workloads?cursor=c&limit=5&offset=0&order=asc&order_by=priority&status=RUNNING&workload_type=a%26b", "", `{}`,
			func(ctx context.Context, c *Client) error {
				return second(c.Workloads.List(ctx, &ListWorkloadsRequest{
					Status: StatusRunning, WorkloadType: "a&b", Limit: 5, Offset: Ptr(0), OrderBy: "priority", Order: "asc", Cursor: "c",
				}))
			}},
		{"List by labels and times",
			"GET /workloads?created_after=2025-10-27T11%3A00%3A00.005Z&fingerprint=f&label=team%3Avideo&q=wl_01", "", `{}`,
			func(ctx context.Context, c *Client) error {
				return second(c.Workloads.List(ctx, &ListWorkloadsRequest{
					Labels: map[string]string{"team": "video"}, CreatedAfter: &noon, Q: "wl_01", Fingerprint: "f",
				}))
			}},
		{"Failures", "GET /failures?limit=5&order_by=count&since=2025-10-27T11%3A00%3A00.005Z", "", `{}`,
			func(ctx context.Context, c *Client) error {
				return second(c.Workloads.Failures(ctx, &FailuresRequest{Since: &noon, OrderBy: "count", Limit: 5}))
			}},
		{"Cancel", "POST /workloads/wl_1/cancel", `{}`, `{}`, func(ctx context.Context, c *Client) error {
			return second(c.Workloads.Cancel(ctx, "wl_1", nil))
		}},
		{"Cancel with a reason", "POST /workloads/wl_1/cancel", `{"reason":"why"}`, `{}`, func(ctx context.Context, c *Client) error {
			return second(c.Workloads.Cancel(ctx, "wl_1", &CancelWorkloadRequest{Reason: "why"}))
		}},
		{"Pause", "POST /workloads/wl_1/pause", "", `{}`, func(ctx context.Context, c *Client) error {
			return second(c.Workloads.Pause(ctx, "wl_1"))
		}},
		{"Resume", "POST /workloads/wl_1/resume", "", `{}`, func(ctx context.Context, c *Client) error {
			return second(c.Workloads.Resume(ctx, "wl_1"))
		}},
		{"ResumeFrom", "POST /workloads/wl_1/resume", `{"from_checkpoint":3}`, `{}`, func(ctx context.Context, c *Client) error {
			return second(c.Workloads.ResumeFrom(ctx, "wl_1", 3))
		}},
		{"Checkpoints", "GET /workloads/wl_1/checkpoints", "", `{"workload_id": "wl_1", "checkpoints": [{"sequence": 3}]}`,
			func(ctx context.Context, c *Client) error {
				found, err := c.Checkpoints.List(ctx, "wl_1")
				if err == nil && found.Checkpoints[0].Sequence != 3 {
					t.Error(found)
				}
				return err
			}},
		{"Pin", "PUT /workloads/wl_1/checkpoints/3/pin", "", `{"sequence": 3, "pinned": true}`,
			func(ctx context.Context, c *Client) error {
				found, err := c.Checkpoints.Pin(ctx, "wl_1", 3)
				if err == nil && !found.Pinned {
					t.Error(found)
				}
				return err
			}},
		{"Unpin", "DELETE /workloads/wl_1/checkpoints/3/pin", "", `{"sequence": 3, "pinned": false}`,
			func(ctx context.Context, c *Client) error {
				return second(c.Checkpoints.Unpin(ctx, "wl_1", 3))
			}},
		{"Logs", "GET /workloads/wl_1/logs?limit=1000&since=2025-10-27T11%3A00%3A00.005Z", "", `{}`, func(ctx context.Context, c *Client) error {
			return second(c.Workloads.Logs(ctx, "wl_1", &LogsRequest{Limit: 1000, Since: noon}))
		}},
		{"Logs, searched", "GET /workloads/wl_1/logs?q=No+such+file", "", `{}`, func(ctx context.Context, c *Client) error {
			return second(c.Workloads.Logs(ctx, "wl_1", &LogsRequest{Q: "No such file"}))
		}},
		{"Logs, the last", "GET /workloads/wl_1/logs?cursor=c&level=WARN&tail=20", "", `{}`, func(ctx context.Context, c *Client) error {
			return second(c.Workloads.Logs(ctx, "wl_1", &LogsRequest{Level: LogWarn, Tail: 20, Cursor: "c"}))
		}},
		{"Audit", "GET /workloads/wl_1/audit", "", `{}`, func(ctx context.Context, c *Client) error {
			return second(c.Workloads.Audit(ctx, "wl_1", nil))
		}},
		{"Configs.Create", "POST /workload-configs",
			`{"workload_type":"count","description":"","config_json":{"a":1},"resource_limits":{"memory_mb":512},"max_retries":0}`, `{}`,
			func(ctx context.Context, c *Client) error {
				return second(c.Configs.Create(ctx, &CreateConfigRequest{
					WorkloadType: "count", Description: Ptr(""), ConfigJSON: Object{"a": 1},
					ResourceLimits: &ResourceLimitsRequest{MemoryMB: Ptr(512)}, MaxRetries: Ptr(0),
				}))
			}},
		{"Configs.List", "GET /workload-configs?limit=2", "", `{}`, func(ctx context.Context, c *Client) error {
			return second(c.Configs.List(ctx, &ListConfigsRequest{Limit: 2}))
		}},
		{"Configs.Get", "GET /workload-configs/c1", "", `{}`, func(ctx context.Context, c *Client) error {
			return second(c.Configs.Get(ctx, "c1"))
		}},
		{"Configs.Update", "PUT /workload-configs/c1", `{"config_json":{},"max_retries":5}`, `{}`, func(ctx context.Context, c *Client) error {
			return second(c.Configs.Update(ctx, "c1", &UpdateConfigRequest{ConfigJSON: &Object{}, MaxRetries: Ptr(5)}))
		}},
		{"Configs.Delete", "DELETE /workload-configs/c1", "", ``, func(ctx context.Context, c *Client) error {
			return c.Configs.Delete(ctx, "c1")
		}},
		{"Customer.Get", "GET /customer", "", `{}`, func(ctx context.Context, c *Client) error {
			return second(c.Customer.Get(ctx))
		}},
		{"Customer.Stats", "GET /customer/stats?end_date=2025-10-27&group_by=day&start_date=2025-10-01&workload_type=scan", "",
			`{"start_date": "2025-10-01", "end_date": "2025-10-27"}`, func(ctx context.Context, c *Client) error {
				found, err := c.Customer.Stats(ctx, &StatsRequest{Date{2025, time.October, 1}, DateOf(noon), GroupByDay, "scan"})
				if err == nil && (found.StartDate != Date{2025, time.October, 1} || found.EndDate.Time().Day() != 27) {
					err = fmt.Errorf("%v", found)
				}
				return err
			}},
		{"Admin.CreateCustomer", "POST /admin/customers", `{"name":"Acme","tier":"premium","limits":{"max_queue_depth":2000}}`, `{}`,
			func(ctx context.Context, c *Client) error {
				return second(c.Admin.CreateCustomer(ctx, &CreateCustomerRequest{
					Name: "Acme", Tier: TierPremium, Limits: &LimitsRequest{MaxQueueDepth: Value(2000)},
				}))
			}},
		{"Admin.ListCustomers", "GET /admin/customers?offset=5", "", `{}`, func(ctx context.Context, c *Client) error {
			return second(c.Admin.ListCustomers(ctx, &ListCustomersRequest{Offset: Ptr(5)}))
		}},
		{"Admin.GetCustomer", "GET /admin/customers/cust_a", "", `{}`, func(ctx context.Context, c *Client) error {
			return second(c.Admin.GetCustomer(ctx, "cust_a"))
		}},
		{"Admin.UpdateCustomer", "PATCH /admin/customers/cust_a",
			`{"limits":{"rate_limit_per_sec":0.5,"burst":null},"status":"suspended"}`, `{}`, func(ctx context.Context, c *Client) error {
				return second(c.Admin.UpdateCustomer(ctx, "cust_a", &UpdateCustomerRequest{
					Status: CustomerSuspended, Limits: &LimitsRequest{Burst: Null[int](), RateLimitPerSec: Value(0.5)},
				}))
			}},
		{"Admin.CreateKey", "POST /admin/customers/cust_a/api-keys",
			`{"name":"build","role":"admin","expires_at":"2025-10-27T12:00:00.005+01:00"}`, `{}`, func(ctx context.Context, c *Client) error {
				return second(c.Admin.CreateKey(ctx, "cust_a", &CreateKeyRequest{Name: "build", Role: KeyRoleAdmin, ExpiresAt: &noon}))
			}},
		{"Admin.ListKeys", "GET /admin/customers/cust_a/api-keys", "", `{}`, func(ctx context.Context, c *Client) error {
			return second(c.Admin.ListKeys(ctx, "cust_a", nil))
		}},
		{"Admin.RevokeKey", "DELETE /admin/customers/cust_a/api-keys/key_1", "", ``, func(ctx context.Context, c *Client) error {
			return c.Admin.RevokeKey(ctx, "cust_a", "key_1")
		}},
		{"Admin.ListWorkers", "GET /admin/workers?status=DEAD", "", `{}`, func(ctx context.Context, c *Client) error {
			return second(c.Admin.ListWorkers(ctx, &ListWorkersRequest{Status: WorkerDead}))
		}},
		{"Admin.DrainWorker", "POST /admin/workers/w%2F1/drain", `{"mode":"move"}`, `{}`, func(ctx context.Context, c *Client) error {
			return second(c.Admin.DrainWorker(ctx, "w/1", &DrainWorkerRequest{Mode: Ptr(DrainMove)}))
		}},
		{"Admin.WorkerDrain", "GET /admin/workers/w1/drain", "", `{}`, func(ctx context.Context, c *Client) error {
			return second(c.Admin.WorkerDrain(ctx, "w1"))
		}},
		{"Admin.UndrainWorker", "POST /admin/workers/w1/undrain", "", `{}`, func(ctx context.Context, c *Client) error {
			return second(c.Admin.UndrainWorker(ctx, "w1"))
		}},
		{"Update", "PATCH /workloads/wl_1", `{"priority":0,"timeout_seconds":null,"affinity_rules":{"hard_affinity":{"worker_id":"w1"}},"version":7}`, `{}`,
			func(ctx context.Context, c *Client) error {
				return second(c.Workloads.Update(ctx, "wl_1", &UpdateWorkloadRequest{
					Priority: Ptr(0), TimeoutSeconds: Null[int](), Version: Ptr(int64(7)),
					AffinityRules: Value(AffinityRules{Hard: &AffinityConstraint{WorkerID: "w1"}}),
				}))
			}},
		{"Update, labels", "PATCH /workloads/wl_1", `{"labels":{"team":"video"}}`, `{}`, func(ctx context.Context, c *Client) error {
			return second(c.Workloads.Update(ctx, "wl_1", &UpdateWorkloadRequest{Labels: Value(map[string]string{"team": "video"})}))
		}},
		{"Update, no labels", "PATCH /workloads/wl_1", `{"labels":null}`, `{}`, func(ctx context.Context, c *Client) error {
			return second(c.Workloads.Update(ctx, "wl_1", &UpdateWorkloadRequest{Labels: Null[map[string]string]()}))
		}},
		{"Download", "GET /workloads/wl_1/checkpoints/3", "", `{"at": 3}`, func(ctx context.Context, c *Client) error {
			found, err := c.Checkpoints.Download(ctx, "wl_1", 3)
			if err != nil {
				return err
			}
			defer found.Close()
			text, err := io.ReadAll(found)
			if string(text) != `{"at": 3}` {
				t.Errorf("%q", text)
			}
			return err
		}},
		{"Admin.CreateJoinToken", "POST /admin/join-tokens",
			`{"name":"gpus","worker_pattern":"gpu-*","workload_types":["train"],"tags":{"hardware":"gpu"},"customers":["cust_a"],"expires_at":"2025-10-27T12:00:00.005+01:00"}`,
			`{"token_id": "jt_1", "join_token": "secret"}`, func(ctx context.Context, c *Client) error {
				found, err := c.Admin.CreateJoinToken(ctx, &CreateJoinTokenRequest{
					Name: "gpus", WorkerPattern: "gpu-*", WorkloadTypes: []string{"train"}, Tags: map[string]string{"hardware": "gpu"},
					Customers: []string{"cust_a"}, ExpiresAt: &noon,
				})
				if err == nil && (found.ID != "jt_1" || found.JoinToken != "secret") {
					t.Errorf("%+v", found)
				}
				return err
			}},
		{"Admin.CreateJoinToken without bounds", "POST /admin/join-tokens", `{"name":"all"}`, `{}`, func(ctx context.Context, c *Client) error {
			return second(c.Admin.CreateJoinToken(ctx, &CreateJoinTokenRequest{Name: "all"}))
		}},
		{"Admin.ListJoinTokens", "GET /admin/join-tokens?offset=5", "", `{}`, func(ctx context.Context, c *Client) error {
			return second(c.Admin.ListJoinTokens(ctx, &ListJoinTokensRequest{Offset: Ptr(5)}))
		}},
		{"Admin.RevokeJoinToken", "DELETE /admin/join-tokens/jt_1", "", ``, func(ctx context.Context, c *Client) error {
			return c.Admin.RevokeJoinToken(ctx, "jt_1")
		}},
		{"Admin.ListSessions", "GET /admin/sessions?customer_id=cust_a&kind=api_token&limit=1000&used_within_seconds=60", "",
			`{"sessions": [{"session_id": "tok_1", "kind": "api_token", "key_id": "key_1", "workload_id": null}]}`,
			func(ctx context.Context, c *Client) error {
				found, err := c.Admin.ListSessions(ctx, &ListSessionsRequest{CustomerID: "cust_a", Kind: SessionToken, UsedWithinSeconds: 60, Limit: 1000})
				if err == nil && (found.Sessions[0].ID != "tok_1" || *found.Sessions[0].KeyID != "key_1" || found.Sessions[0].WorkloadID != nil) {
					t.Errorf("%+v", found.Sessions[0])
				}
				return err
			}},
		{"Admin.RevokeSession", "DELETE /admin/sessions/tok_1", "", ``, func(ctx context.Context, c *Client) error {
			return c.Admin.RevokeSession(ctx, "tok_1")
		}},
		{"Admin.Audit",
			"GET /admin/audit?action=drainWorker&actor_id=key_1&cursor=c&kind=change&limit=5&outcome=refused&since=2025-10-27T11%3A00%3A00.005Z&target=w1&until=2025-10-27T11%3A00%3A00.005Z", "", `{}`,
			func(ctx context.Context, c *Client) error {
				return second(c.Admin.Audit(ctx, &OperatorActionsRequest{
					ActorID: "key_1", Action: "drainWorker", Kind: ActionChange, Target: "w1", Outcome: ActionRefused,
					Since: &noon, Until: &noon, Limit: 5, Cursor: "c",
				}))
			}},
		{"Admin.System", "GET /admin/system", "", `{"workers": {"HEALTHY": 2}, "leader": {"coordinator_id": null, "epoch": 3}}`,
			func(ctx context.Context, c *Client) error {
				found, err := c.Admin.System(ctx)
				if err == nil && (found.Workers[WorkerHealthy] != 2 || found.Leader.CoordinatorID != nil || found.Leader.Epoch != 3) {
					t.Errorf("%+v", found)
				}
				return err
			}},
		{"Admin.Fairness", "GET /admin/fairness", "", `{"slots": 8, "customers": [{"customer_id": "cust_a", "deserved": 2.5}]}`,
			func(ctx context.Context, c *Client) error {
				found, err := c.Admin.Fairness(ctx)
				if err == nil && (found.Slots != 8 || found.Customers[0].Deserved != 2.5) {
					t.Errorf("%+v", found)
				}
				return err
			}},
		{"Admin.RemoveWorker", "DELETE /admin/workers/w1", "", ``, func(ctx context.Context, c *Client) error {
			return c.Admin.RemoveWorker(ctx, "w1")
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s := newService(t)
			path, _, _ := strings.Cut(row.want, "?")
			if strings.Contains(row.name, "strange id") {
				path = row.want
			}
			s.on(path, gives(200, row.answer))
			if err := row.call(context.Background(), s.client()); err != nil {
				t.Error(err)
			}
			got := s.got()
			if len(got) != 1 || got[0].call != row.want || got[0].body != row.body {
				t.Errorf("%+v", got)
			}
			if want := map[bool]string{true: "application/json", false: ""}[row.body != ""]; got[0].header.Get("Content-Type") != want {
				t.Error(got[0].header)
			}
		})
	}
}

// second is the error of a call whose answer is of no interest.
func second[T any](_ T, err error) error { return err }

func TestAdminHasAKeyOfItsOwn(t *testing.T) {
	s := newService(t)
	writeCredentials(t, elsewhere(t), fmt.Sprintf(`{"base_url": %q, "api_key": "theirs", "admin_api_key": "ours"}`, s.URL))
	s.on("GET /customer", gives(200, `{}`))
	s.on("GET /admin/workers", gives(200, `{}`))
	client := NewClient("")
	if err := errors.Join(second(client.Customer.Get(context.Background())), second(client.Admin.ListWorkers(context.Background(), nil))); err != nil {
		t.Fatal(err)
	}
	if got := s.got(); got[0].header.Get("Authorization") != "Bearer theirs" || got[1].header.Get("Authorization") != "Bearer ours" {
		t.Error(got)
	}
}

func page(name, items, cursor string) string {
	if cursor == "" {
		return fmt.Sprintf(`{%q: %s, "pagination": {"has_more": false, "next_cursor": null}}`, name, items)
	}
	return fmt.Sprintf(`{%q: %s, "pagination": {"has_more": true, "next_cursor": %q}}`, name, items, cursor)
}

func TestIterationsGoThroughAllPages(t *testing.T) {
	ctx := context.Background()
	for _, row := range []struct {
		path, name, item, first string
		ids                     func(*Client) ([]string, error)
	}{
		{"/workloads", "workloads", "workload_id", "?limit=100&offset=3&order=asc&status=FAILED", func(c *Client) ([]string, error) {
			request := &ListWorkloadsRequest{Status: StatusFailed, Order: "asc", Offset: Ptr(3)}
			return idsOf(c.Workloads.Iterate(ctx, request))
		}},
		{"/workloads/wl_1/audit", "events", "event_type", "?limit=7", func(c *Client) ([]string, error) {
			return idsOf(c.Workloads.IterateAudit(ctx, "wl_1", &AuditRequest{Limit: 7}))
		}},
		{"/workloads/wl_1/logs", "logs", "message", "?limit=1000&order=desc", func(c *Client) ([]string, error) {
			return idsOf(c.Workloads.IterateLogs(ctx, "wl_1", &LogsRequest{Order: "desc"}))
		}},
		{"/workload-configs", "configs", "config_id", "", func(c *Client) ([]string, error) {
			return idsOf(c.Configs.Iterate(ctx, nil))
		}},
		{"/admin/customers", "customers", "customer_id", "?offset=0", func(c *Client) ([]string, error) {
			return idsOf(c.Admin.IterateCustomers(ctx, &ListCustomersRequest{Offset: Ptr(0)}))
		}},
		{"/admin/customers/cust_a/api-keys", "api_keys", "key_id", "", func(c *Client) ([]string, error) {
			return idsOf(c.Admin.IterateKeys(ctx, "cust_a", nil))
		}},
		{"/admin/join-tokens", "join_tokens", "token_id", "?limit=2", func(c *Client) ([]string, error) {
			return idsOf(c.Admin.IterateJoinTokens(ctx, &ListJoinTokensRequest{Limit: 2}))
		}},
		{"/admin/audit", "actions", "action_id", "?kind=read&limit=100", func(c *Client) ([]string, error) {
			return idsOf(c.Admin.IterateAudit(ctx, &OperatorActionsRequest{Kind: ActionRead}))
		}},
		{"/admin/workers", "workers", "worker_id", "?status=HEALTHY", func(c *Client) ([]string, error) {
			return idsOf(c.Admin.IterateWorkers(ctx, &ListWorkersRequest{Status: WorkerHealthy}))
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			item := func(id string) string { return fmt.Sprintf("{%q: %q}", row.item, id) }
			s := newService(t)
			s.on("GET "+row.path,
				gives(200, page(row.name, "["+item("a")+","+item("b")+"]", "c2")),
				gives(200, page(row.name, "[]", "c3")),
				fails(429, "RATE_LIMITED"),
				gives(200, page(row.name, "["+item("c")+"]", "")))
			ids, err := row.ids(s.client())
			if err != nil || !slices.Equal(ids, []string{"a", "b", "c"}) {
				t.Error(ids, err)
			}
			got := s.got()
			if len(got) != 4 || got[0].call != "GET "+row.path+row.first || !strings.Contains(got[1].call, "cursor=c2") ||
				!strings.Contains(got[3].call, "cursor=c3") || strings.Contains(got[1].call, "offset") {
				t.Errorf("%+v", got)
			}
			if status := "status="; strings.Contains(row.first, status) && !strings.Contains(got[3].call, status) {
				t.Error("the filter was lost on the way")
			}

			s.on("GET "+row.path, gives(200, page(row.name, "["+item("a")+"]", "c2")), fails(500, "INTERNAL_ERROR"))
			if ids, err = row.ids(s.client()); !errors.Is(err, ErrInternal) || !slices.Equal(ids, []string{"a"}) {
				t.Error(ids, err)
			}
		})
	}
}

func idsOf[T any](items func(func(T, error) bool)) ([]string, error) {
	found, err := Collect(items)
	ids := make([]string, len(found))
	for i, item := range found {
		switch item := any(item).(type) {
		case *AuditEvent:
			ids[i] = item.Type
		case *LogLine:
			ids[i] = item.Message
		default:
			ids[i] = reflect.ValueOf(item).Elem().FieldByName("ID").String()
		}
	}
	return ids, err
}

func TestAnIterationStopsWithItsLoopAndBeginsAnew(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.on("GET /workloads", gives(200, page("workloads", `[{"workload_id": "a"}, {"workload_id": "b"}]`, "c2")))
	all := s.client().Workloads.Iterate(context.Background(), nil)
	for range 2 {
		for workload, err := range all {
			if err != nil || workload.ID != "a" {
				t.Fatal(workload, err)
			}
			break
		}
	}
	for _, request := range s.got() {
		if request.call != "GET /workloads?limit=100" {
			t.Error(request.call)
		}
	}
	if len(s.got()) != 2 {
		t.Error(s.got())
	}
}

func TestAnAnswerIsReadWhole(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.on("GET /workloads/wl_1", gives(200, `{"workload_id": "wl_1", "customer_id": "cust_a", "workload_type": "count", "status": "COMPLETED",
		"priority": 10, "progress_percent": 100, "worker_id": null, "input_params": {"to": 3}, "result_data": {"number": 3, "list": [1.5]},
		"error_message": "was lost once", "retry_count": 1, "created_at": "2025-10-27T12:34:56.789Z", "scheduled_at": null,
		"completed_at": "2025-10-27T13:34:56.000Z", "timeout_seconds": 60, "affinity_rules": {"soft_affinity": {"worker_id": "w1"}},
		"version": 7, "generation": 2, "checkpoint_sequence": 4, "pending_reason": null, "progress_message": "done"}`))
	w, err := s.client().Workloads.Get(context.Background(), "wl_1")
	if err != nil {
		t.Fatal(err)
	}
	if w.ID != "wl_1" || !w.Status.IsTerminal() || w.WorkerID != nil || *w.ErrorMessage != "was lost once" || w.RetryCount != 1 ||
		!w.CreatedAt.Equal(time.Date(2025, 10, 27, 12, 34, 56, 789e6, time.UTC)) || w.ScheduledAt != nil || w.CompletedAt.Hour() != 13 ||
		*w.TimeoutSeconds != 60 || w.AffinityRules.Soft.WorkerID != "w1" || w.Generation != 2 || w.CheckpointSequence != 4 {
		t.Errorf("%+v", w)
	}
	var result struct {
		Number int
		List   []float64
	}
	if err := w.ResultData.Decode(&result); err != nil || result.Number != 3 || result.List[0] != 1.5 {
		t.Error(result, err)
	}
	if err := w.ResultData.Decode(result); err == nil {
		t.Error("decoded into something that is no pointer")
	}
}

func TestItemsOfABatchHaveErrorsOfTheirOwn(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.on("POST /workloads/batch", gives(202, `{"results": [{"index": 0, "workload_id": "wl_1", "status": "PENDING", "version": 1},
		{"index": 1, "error": {"code": "INVALID_INPUT", "message": "No.", "details": {"field": "workload_type"}}}], "accepted": 1, "rejected": 1}`))
	batch, err := s.client().Workloads.SubmitBatch(context.Background(), &SubmitBatchRequest{[]*SubmitWorkloadRequest{submission, submission}})
	if err != nil || batch.Accepted != 1 || batch.Results[0].ID != "wl_1" || batch.Results[0].Error != nil {
		t.Fatal(batch, err)
	}
	refusal := batch.Results[1].Error
	if !errors.Is(refusal, ErrInvalidInput) || errors.Is(refusal, ErrConflict) || refusal.Error() != "niyanta: INVALID_INPUT: No." {
		t.Error(refusal)
	}
	if s.got()[0].header.Get("Idempotency-Key") == "" {
		t.Error("the batch has no key")
	}
}

func TestDates(t *testing.T) {
	var day Date
	if err := json.Unmarshal([]byte(`"2025-02-03"`), &day); err != nil || day != (Date{2025, time.February, 3}) || day.String() != "2025-02-03" {
		t.Error(day, err)
	}
	if json.Unmarshal([]byte(`"yesterday"`), &day) == nil {
		t.Error("read nonsense")
	}
	if text, err := json.Marshal(day); err != nil || string(text) != `"2025-02-03"` {
		t.Error(string(text), err)
	}
	if late := time.Date(2025, 3, 1, 23, 0, 0, 0, time.FixedZone("", -5*3600)); DateOf(late).Day != 1 {
		t.Error("the day isn't the one that the time shows")
	}
}

func TestManyGoroutinesShareAClient(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.on("POST /workloads", gives(202, submitted))
	client := s.client()
	errs := make(chan error, 32)
	for range cap(errs) {
		go func() {
			var err error
			for i := 0; i < 20 && err == nil; i++ {
				_, err = client.Workloads.Submit(context.Background(), submission)
			}
			errs <- err
		}()
	}
	for range cap(errs) {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	keys := map[string]bool{}
	for _, request := range s.got() {
		keys[request.header.Get("Idempotency-Key")] = true
	}
	if len(keys) != 640 {
		t.Errorf("%d keys for 640 submissions", len(keys))
	}
}

func TestAPauseWaitsLongerThanOtherCalls(t *testing.T) {
	t.Parallel()
	s := newService(t)
	slowly := func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(100 * time.Millisecond) // longer than the time-out of a try
		gives(200, `{"status": "PAUSED", "checkpoint_sequence": 5}`)(w, r)
	}
	s.on("POST /workloads/wl_1/pause", slowly)
	s.on("GET /workloads/wl_1", slowly)
	client := s.client(WithTimeout(20*time.Millisecond), WithMaxRetries(0))
	if paused, err := client.Workloads.Pause(context.Background(), "wl_1"); err != nil || paused.CheckpointSequence != 5 {
		t.Error(paused, err)
	}
	if _, err := client.Workloads.GetAfter(context.Background(), "wl_1", 3, time.Second); err != nil {
		t.Error(err)
	}
	if _, err := client.Workloads.Get(context.Background(), "wl_1"); err == nil {
		t.Error("the time-out was never reached")
	}
	s.on("POST /workloads/wl_1/pause", fails(503, "SERVICE_UNAVAILABLE", "Retry-After", "5"))
	if _, err := s.client().Workloads.Pause(context.Background(), "wl_1"); !errors.Is(err, ErrUnavailable) || len(s.got()) != 4 {
		t.Error("a pause for which no checkpoint came was tried again", err)
	}
}

func TestWhatOnlyReadsIsTriedAgain(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.on("GET /admin/workers/w1/drain", breaks, gives(200, `{"worker_id": "w1", "remaining": 2}`))
	if found, err := s.client().Admin.WorkerDrain(context.Background(), "w1"); err != nil || found.Remaining != 2 {
		t.Error(found, err)
	}
}
