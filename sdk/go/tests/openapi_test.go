package tests

import (
	"encoding/json"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	niyanta "github.com/niyanta/niyanta-go-sdk"
	"go.yaml.in/yaml/v3"
)

// document is what is read of api/openapi/niyanta-v1.yaml.
type document struct {
	Paths      map[string]map[string]operation
	Components struct{ Schemas map[string]schema }
}

type operation struct {
	OperationID string `yaml:"operationId"`
	Parameters  []struct{ Name, In string }
}

type schema struct {
	Ref        string   `yaml:"$ref"`
	AllOf      []schema `yaml:"allOf"`
	Type       string
	Format     string
	Nullable   bool
	Enum       []*string
	Items      *schema
	Properties map[string]schema
	Required   []string
	// AdditionalProperties is a bool or a schema.
	AdditionalProperties any `yaml:"additionalProperties"`
}

func readDocument(t *testing.T) document {
	t.Helper()
	text, err := os.ReadFile("../../../api/openapi/niyanta-v1.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var found document
	if err := yaml.Unmarshal(text, &found); err != nil {
		t.Fatal(err)
	}
	return found
}

// What the document calls a schema, and the SDK's type for it; nil where the SDK has none, for the reason beside it.
var types = map[string]any{
	"ActionOutcome":          niyanta.ActionOutcome(""),
	"AccountAnswer":          niyanta.Account{},
	"AffinityRequest":        niyanta.AffinityRules{},
	"ApiKeyRow":              niyanta.Key{},
	"ApiKeysAnswer":          niyanta.KeysPage{},
	"AuditAnswer":            niyanta.AuditPage{},
	"AuditEvent":             niyanta.AuditEvent{},
	"BatchAnswer":            niyanta.SubmittedBatch{},
	"BatchRequest":           niyanta.SubmitBatchRequest{},
	"BatchResult":            niyanta.SubmittedItem{},
	"CancelAnswer":           niyanta.CancelledWorkload{},
	"CancelBatchAnswer":      niyanta.CancelledBatch{},
	"CancelBatchRequest":     niyanta.CancelBatchRequest{},
	"CancelFilter":           niyanta.CancelFilter{},
	"CancelRequest":          niyanta.CancelWorkloadRequest{},
	"CancelResult":           niyanta.CancelledItem{},
	"Checkpoint":             niyanta.Checkpoint{},
	"CheckpointsAnswer":      niyanta.CheckpointList{},
	"Config":                 niyanta.Config{},
	"ConfigCreated":          niyanta.CreatedConfig{},
	"ConfigsAnswer":          niyanta.ConfigsPage{},
	"ConstraintRequest":      niyanta.AffinityConstraint{},
	"CreateConfigRequest":    niyanta.CreateConfigRequest{},
	"CreateCustomerRequest":  niyanta.CreateCustomerRequest{},
	"CreateJoinTokenRequest": niyanta.CreateJoinTokenRequest{},
	"CreateKeyRequest":       niyanta.CreateKeyRequest{},
	"CreateTokenRequest":     niyanta.CreateTokenRequest{},
	"CustomerAnswer":         niyanta.Customer{},
	"CustomerLimits":         niyanta.Limits{},
	"CustomerUsage":          niyanta.Usage{},
	"CustomersAnswer":        niyanta.CustomersPage{},
	"Dependencies":           niyanta.Dependencies{},
	"DrainAnswer":            niyanta.Drain{},
	"DrainRequest":           niyanta.DrainWorkerRequest{},
	"DrainedWorkloadBody":    niyanta.DrainedWorkload{},
	"ErrorBody":              nil, // becomes an APIError
	"ErrorEnvelope":          nil, // becomes an APIError
	"EstimateAccuracy":       niyanta.EstimateAccuracy{},
	"ExplainAnswer":          niyanta.Explanation{},
	"ExplainedReason":        niyanta.ExplainedReason{},
	"FailureBody":            niyanta.Failure{},
	"FailuresAnswer":         niyanta.Failures{},
	"ForkRequest":            niyanta.ForkWorkloadRequest{},
	"HealthAnswer":           niyanta.Health{},
	"ItemError":              niyanta.ItemError{},
	"JoinTokenAnswer":        niyanta.CreatedJoinToken{},
	"JoinTokenRow":           niyanta.JoinToken{},
	"OperatorActionBody":     niyanta.OperatorAction{},
	"OperatorActionsAnswer":  niyanta.OperatorActionsPage{},
	"JoinTokensAnswer":       niyanta.JoinTokensPage{},
	"KeyAnswer":              niyanta.CreatedKey{},
	"Limits":                 niyanta.Limits{},
	"LimitsRequest":          niyanta.LimitsRequest{},
	"ListAnswer":             niyanta.WorkloadsPage{},
	"LogLine":                niyanta.LogLine{},
	"LogsAnswer":             niyanta.LogsPage{},
	"NoFields":               nil, // an empty body, which may be left out
	"Pagination":             niyanta.Pagination{},
	"PauseAnswer":            niyanta.PausedWorkload{},
	"PeriodStatistics":       niyanta.PeriodStatistics{},
	"QueuePosition":          niyanta.QueuePosition{},
	"ReadyAnswer":            niyanta.Readiness{},
	"ReplayBatchAnswer":      niyanta.ReplayedBatch{},
	"ReplayBatchRequest":     niyanta.ReplayBatchRequest{},
	"ReplayFilter":           niyanta.ReplayFilter{},
	"ReplayRequest":          niyanta.ReplayWorkloadRequest{},
	"ReplayResult":           niyanta.ReplayedItem{},
	"ResourceLimits":         niyanta.ResourceLimits{},
	"ResourceLimitsRequest":  niyanta.ResourceLimitsRequest{},
	"ResumeAnswer":           niyanta.ResumedWorkload{},
	"ResumeRequest":          nil, // an argument of ResumeFrom
	"RotateKeyRequest":       niyanta.RotateKeyRequest{},
	"RunSeconds":             niyanta.RunSeconds{},
	"SessionBody":            niyanta.Session{},
	"SessionsAnswer":         niyanta.SessionList{},
	"StandingOrderBody":      niyanta.StandingOrder{},
	"StatisticsAnswer":       niyanta.Statistics{},
	"StatisticsSummary":      niyanta.StatisticsSummary{},
	"TimeEstimate":           niyanta.TimeEstimate{},
	"TokenAnswer":            niyanta.CreatedToken{},
	"TokenRow":               niyanta.Token{},
	"TokensAnswer":           niyanta.TokenList{},
	"BrokerState":            niyanta.BrokerState{},
	"CustomerShare":          niyanta.CustomerShare{},
	"DatabaseState":          niyanta.DatabaseState{},
	"FairnessAnswer":         niyanta.Fairness{},
	"LeaderState":            niyanta.LeaderState{},
	"PartitionState":         niyanta.PartitionState{},
	"PoolState":              niyanta.PoolState{},
	"QueueState":             niyanta.QueueState{},
	"SystemAnswer":           niyanta.SystemState{},
	"SubmitAnswer":           niyanta.SubmittedWorkload{},
	"SubmitRequest":          niyanta.SubmitWorkloadRequest{},
	"TypeStatistics":         niyanta.TypeStatistics{},
	"UndrainAnswer":          niyanta.WorkerState{},
	"UpdateConfigRequest":    niyanta.UpdateConfigRequest{},
	"UpdateCustomerRequest":  niyanta.UpdateCustomerRequest{},
	"UpdateRequest":          niyanta.UpdateWorkloadRequest{},
	"WorkerBody":             niyanta.Worker{},
	"WorkersAnswer":          niyanta.WorkersPage{},
	"Workload":               niyanta.Workload{},
	"WorkloadRow":            niyanta.WorkloadSummary{},
	"WorkloadTypeBody":       niyanta.WorkloadType{},
	"WorkloadTypesAnswer":    niyanta.WorkloadTypes{},
}

var client = &niyanta.Client{}

// method is the one that makes a call, and the struct from which the query is made.
type method struct {
	of    any
	name  string
	query any
}

// What the document calls an operation, and the SDK's method for it.
var methods = map[string]method{
	"submitWorkload":       {client.Workloads, "Submit", nil},
	"listWorkloads":        {client.Workloads, "List", niyanta.ListWorkloadsRequest{}},
	"submitWorkloadBatch":  {client.Workloads, "SubmitBatch", nil},
	"cancelWorkloadBatch":  {client.Workloads, "CancelBatch", nil},
	"getWorkload":          {client.Workloads, "GetAfter", getAfter{}},
	"listFailures":         {client.Workloads, "Failures", niyanta.FailuresRequest{}},
	"explainWorkload":      {client.Workloads, "Explain", nil},
	"getWorkloadAudit":     {client.Workloads, "Audit", niyanta.AuditRequest{}},
	"cancelWorkload":       {client.Workloads, "Cancel", nil},
	"getWorkloadLogs":      {client.Workloads, "Logs", niyanta.LogsRequest{}},
	"pauseWorkload":        {client.Workloads, "Pause", nil},
	"forkWorkload":         {client.Workloads, "Fork", nil},
	"replayWorkload":       {client.Workloads, "Replay", nil},
	"replayWorkloadBatch":  {client.Workloads, "ReplayBatch", nil},
	"resumeWorkload":       {client.Workloads, "Resume", nil},
	"createWorkloadConfig": {client.Configs, "Create", nil},
	"listWorkloadConfigs":  {client.Configs, "List", niyanta.ListConfigsRequest{}},
	"getWorkloadConfig":    {client.Configs, "Get", nil},
	"updateWorkload":       {client.Workloads, "Update", nil},
	"updateWorkloadConfig": {client.Configs, "Update", nil},
	"deleteWorkloadConfig": {client.Configs, "Delete", nil},
	"listWorkloadTypes":    {client.Configs, "Types", nil},
	"getCustomer":          {client.Customer, "Get", nil},
	"getCustomerStats":     {client.Customer, "Stats", niyanta.StatsRequest{}},
	"createCustomer":       {client.Admin, "CreateCustomer", nil},
	"listCustomers":        {client.Admin, "ListCustomers", niyanta.ListCustomersRequest{}},
	"getCustomerById":      {client.Admin, "GetCustomer", nil},
	"updateCustomer":       {client.Admin, "UpdateCustomer", nil},
	"createApiKey":         {client.Admin, "CreateKey", nil},
	"listApiKeys":          {client.Admin, "ListKeys", niyanta.ListKeysRequest{}},
	"rotateApiKey":         {client.Admin, "RotateKey", nil},
	"listCustomerTokens":   {client.Admin, "ListTokens", niyanta.ListTokensRequest{}},
	"createToken":          {client.Tokens, "Create", nil},
	"listTokens":           {client.Tokens, "List", niyanta.ListTokensRequest{}},
	"revokeToken":          {client.Tokens, "Revoke", nil},
	"revokeApiKey":         {client.Admin, "RevokeKey", nil},
	"listWorkers":          {client.Admin, "ListWorkers", niyanta.ListWorkersRequest{}},
	"removeWorker":         {client.Admin, "RemoveWorker", nil},
	"drainWorker":          {client.Admin, "DrainWorker", nil},
	"getWorkerDrain":       {client.Admin, "WorkerDrain", nil},
	"undrainWorker":        {client.Admin, "UndrainWorker", nil},
	"createJoinToken":      {client.Admin, "CreateJoinToken", nil},
	"listJoinTokens":       {client.Admin, "ListJoinTokens", niyanta.ListJoinTokensRequest{}},
	"revokeJoinToken":      {client.Admin, "RevokeJoinToken", nil},
	"listSessions":         {client.Admin, "ListSessions", niyanta.ListSessionsRequest{}},
	"revokeSession":        {client.Admin, "RevokeSession", nil},
	"listOperatorActions":  {client.Admin, "Audit", niyanta.OperatorActionsRequest{}},
	"getSystem":            {client.Admin, "System", nil},
	"getFairness":          {client.Admin, "Fairness", nil},
	"streamWorkloadEvents": {client.Workloads, "Events", nil},
	"streamAllEvents":      {client.Admin, "Events", nil},
	"downloadCheckpoint":   {client.Checkpoints, "Download", nil},
	"listCheckpoints":      {client.Checkpoints, "List", nil},
	"pinCheckpoint":        {client.Checkpoints, "Pin", nil},
	"unpinCheckpoint":      {client.Checkpoints, "Unpin", nil},
	"getHealth":            {client, "Health", nil},
	"getReadiness":         {client, "Ready", nil},
}

// getAfter stands for the parameters of GetAfter, which has no struct for them.
type getAfter struct {
	_ int `query:"wait_seconds"`
	_ int `query:"version"`
}

// Operations that no method makes: metrics are for Prometheus, and the rest has a twin below /v1.
var withoutMethod = []string{"getMetrics", "getMetricsAtRoot", "getHealthAtRoot", "getReadinessAtRoot"}

func TestEveryOperationHasItsMethod(t *testing.T) {
	seen := map[string]bool{}
	for path, operations := range readDocument(t).Paths {
		for verb, operation := range operations {
			id := operation.OperationID
			seen[id] = true
			if slices.Contains(withoutMethod, id) {
				continue
			}
			method, ok := methods[id]
			if !ok {
				t.Errorf("%s %s: no method makes the call %s: add one to the SDK, and its name to methods", verb, path, id)
				continue
			}
			if _, ok := reflect.TypeOf(method.of).MethodByName(method.name); !ok {
				t.Errorf("%T has no method %s", method.of, method.name)
			}
			wanted := map[string]bool{}
			for _, parameter := range operation.Parameters {
				if parameter.In == "query" {
					wanted[parameter.Name] = true
				}
			}
			if had := tags(method.query, "query"); !maps.Equal(had, wanted) {
				t.Errorf("%s %s: the query has %v, and %T has %v", verb, path, names(wanted), method.query, names(had))
			}
		}
	}
	for id := range methods {
		if !seen[id] {
			t.Errorf("the document has no operation %s any more", id)
		}
	}
}

func TestEverySchemaHasItsType(t *testing.T) {
	document := readDocument(t)
	for name, schema := range document.Components.Schemas {
		found, known := types[name]
		if !known {
			t.Errorf("no type of the SDK holds a %s: add one, and its name to types", name)
			continue
		}
		if found == nil {
			continue
		}
		goType := reflect.TypeOf(found)
		if goType.Kind() == reflect.String {
			continue
		}
		fields := map[string]reflect.StructField{}
		for i := range goType.NumField() {
			if tag, ok := goType.Field(i).Tag.Lookup("json"); ok {
				field, _, _ := strings.Cut(tag, ",")
				fields[field] = goType.Field(i)
			}
		}
		for property, described := range schema.Properties {
			field, ok := fields[property]
			if !ok {
				t.Errorf("%s has the field %s: add it to niyanta.%s", name, property, goType.Name())
				continue
			}
			if problem := mismatch(described, field.Type); problem != "" {
				t.Errorf("%s.%s: niyanta.%s.%s is a %s: %s", name, property, goType.Name(), field.Name, field.Type, problem)
			}
			if maySayNothing := described.Nullable || !slices.Contains(schema.Required, property); maySayNothing &&
				!canSayNothing(field.Type) && !saysNothingWhenZero(goType.Name(), field.Name) {
				t.Errorf("%s.%s may be absent or null; niyanta.%s.%s can't say so", name, property, goType.Name(), field.Name)
			}
		}
		for property := range fields {
			if _, ok := schema.Properties[property]; !ok {
				t.Errorf("%s has no field %s, and niyanta.%s has one", name, property, goType.Name())
			}
		}
	}
}

// mismatch says what is wrong with the Go type of a property.
func mismatch(described schema, goType reflect.Type) string {
	if goType.Kind() == reflect.Pointer {
		goType = goType.Elem()
	}
	if strings.HasPrefix(goType.Name(), "Nullable[") {
		return mismatch(described, goType.Field(0).Type)
	}
	if len(described.AllOf) == 1 {
		described = schema{Ref: described.AllOf[0].Ref}
	}
	if described.Ref != "" {
		wanted := types[described.Ref[strings.LastIndex(described.Ref, "/")+1:]]
		if wanted == nil || reflect.TypeOf(wanted) != goType {
			return "not what holds " + described.Ref
		}
		return ""
	}
	fits := false
	switch described.Type {
	case "string":
		switch {
		case described.Format == "date-time" || goType == reflect.TypeOf(time.Time{}):
			fits = goType == reflect.TypeOf(time.Time{})
		case described.Format == "date":
			fits = goType == reflect.TypeOf(niyanta.Date{})
		default:
			fits = goType.Kind() == reflect.String
		}
	case "integer":
		fits = goType.Kind() == reflect.Int || goType.Kind() == reflect.Int64
	case "number":
		fits = goType.Kind() == reflect.Float64
	case "boolean":
		fits = goType.Kind() == reflect.Bool
	case "array":
		if goType.Kind() != reflect.Slice {
			return "not a list"
		}
		return mismatch(*described.Items, goType.Elem())
	case "object":
		fits = goType == reflect.TypeOf(niyanta.Object{}) || goType == reflect.TypeOf(niyanta.AffinityRules{}) ||
			goType == reflect.TypeOf(map[string]string{}) || goType == reflect.TypeOf(map[niyanta.WorkerStatus]int{}) || goType.Kind() == reflect.Interface
	}
	if !fits {
		return strings.TrimSpace("not a " + described.Type + " " + described.Format)
	}
	return ""
}

func canSayNothing(goType reflect.Type) bool {
	return slices.Contains([]reflect.Kind{reflect.Pointer, reflect.Slice, reflect.Map, reflect.Interface}, goType.Kind())
}

// saysNothingWhenZero reports whether the zero value means absence and can't be a fact: in a request no zero is
// allowed there, and the items of a batch say in Error that the rest is absent.
func saysNothingWhenZero(typeName, field string) bool {
	switch typeName {
	case "SubmittedItem", "CancelledItem":
		return slices.Contains([]string{"ID", "Status", "Version"}, field)
	case "SubmitWorkloadRequest":
		return field == "TimeoutSeconds"
	case "CancelWorkloadRequest", "CancelBatchRequest", "CancelFilter", "AffinityConstraint", "CreateCustomerRequest",
		"UpdateCustomerRequest", "CreateKeyRequest", "CreateJoinTokenRequest":
		return true
	}
	return false
}

func TestEveryStatusIsKnown(t *testing.T) {
	known := []niyanta.Status{
		niyanta.StatusPending, niyanta.StatusScheduled, niyanta.StatusRunning, niyanta.StatusPaused,
		niyanta.StatusRedistributing, niyanta.StatusCompleted, niyanta.StatusFailed, niyanta.StatusCancelled,
	}
	for _, status := range readDocument(t).Components.Schemas["Workload"].Properties["status"].Enum {
		if !slices.Contains(known, niyanta.Status(*status)) {
			t.Errorf("there is no constant for %s", *status)
		}
	}
}

// TestExamplesOfTheDocumentAreRead decodes each example of an answer, and finds in it again what was there.
func TestExamplesOfTheDocumentAreRead(t *testing.T) {
	text, err := os.ReadFile("../../../api/openapi/niyanta-v1.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var found struct {
		Paths map[string]map[string]struct {
			Responses map[string]struct {
				Content map[string]struct {
					Schema  schema
					Example any
				}
			}
		}
	}
	if err := yaml.Unmarshal(text, &found); err != nil {
		t.Fatal(err)
	}
	read := 0
	for path, operations := range found.Paths {
		for verb, operation := range operations {
			for status, response := range operation.Responses {
				content := response.Content["application/json"]
				goType := types[content.Schema.Ref[strings.LastIndex(content.Schema.Ref, "/")+1:]]
				if status[0] != '2' || content.Example == nil || goType == nil {
					continue
				}
				example, err := json.Marshal(content.Example)
				if err != nil {
					t.Fatal(err)
				}
				value := reflect.New(reflect.TypeOf(goType)).Interface()
				if err := json.Unmarshal(example, value); err != nil {
					t.Errorf("%s %s: %v", verb, path, err)
					continue
				}
				read++
			}
		}
	}
	if read < 15 {
		t.Errorf("only %d examples", read)
	}
}

func tags(value any, key string) map[string]bool {
	found := map[string]bool{}
	if value == nil {
		return found
	}
	for i := range reflect.TypeOf(value).NumField() {
		if name := reflect.TypeOf(value).Field(i).Tag.Get(key); name != "" {
			found[name] = true
		}
	}
	return found
}

func names(set map[string]bool) []string { return slices.Sorted(maps.Keys(set)) }
