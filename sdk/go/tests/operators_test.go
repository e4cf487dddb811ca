package tests

import (
	"errors"
	"slices"
	"testing"
	"time"

	niyanta "github.com/niyanta/niyanta-go-sdk"
)

func operators(t *testing.T, d *dev) {
	ctx, admin := limited(t), d.admin()
	begun := time.Now().Add(-time.Minute)
	created := must(admin.CreateJoinToken(ctx, &niyanta.CreateJoinTokenRequest{
		Name: "gpus", WorkerPattern: "gpu-*", WorkloadTypes: []string{"train"}, Tags: map[string]string{"hardware": "gpu"}, Customers: []string{"cust_dev"},
	}))(t)
	if created.JoinToken == "" || created.ExpiresAt != nil {
		t.Errorf("%+v", created)
	}
	if err := admin.RevokeJoinToken(ctx, created.ID); err != nil {
		t.Error(err)
	}
	var found *niyanta.JoinToken
	for token, err := range admin.IterateJoinTokens(ctx, &niyanta.ListJoinTokensRequest{Limit: 1}) {
		if err != nil {
			t.Fatal(err)
		}
		if token.ID == created.ID {
			found = token
		}
	}
	if found == nil || found.Status != niyanta.KeyRevoked || found.RevokedAt == nil || found.WorkerPattern != "gpu-*" || found.Tags["hardware"] != "gpu" || found.Customers[0] != "cust_dev" {
		t.Errorf("%+v", found)
	}

	actions := must(niyanta.Collect(admin.IterateAudit(ctx, &niyanta.OperatorActionsRequest{
		Target: created.ID, Kind: niyanta.ActionChange, Since: &begun, Limit: 1,
	})))(t)
	if len(actions) != 2 || actions[0].Action != "revokeJoinToken" || actions[1].Action != "createJoinToken" || actions[1].Outcome != niyanta.ActionSucceeded ||
		actions[1].Protocol != niyanta.ProtocolREST || actions[1].ErrorCode != nil {
		t.Errorf("%+v", actions)
	}

	token := must(d.client().Tokens.Create(ctx, nil))(t)
	theirs := niyanta.NewClient(token.Token, niyanta.WithBaseURL(d.credentials.BaseURL))
	must(theirs.Customer.Get(ctx))(t)
	sessions := must(admin.ListSessions(ctx, &niyanta.ListSessionsRequest{CustomerID: "cust_dev", Kind: niyanta.SessionToken, Limit: 1000}))(t).Sessions
	if !slices.ContainsFunc(sessions, func(s *niyanta.Session) bool {
		return s.ID == token.ID && s.Kind == niyanta.SessionToken && s.KeyID != nil
	}) {
		t.Errorf("%s isn't among %+v", token.ID, sessions)
	}
	if err := admin.RevokeSession(ctx, token.ID); err != nil {
		t.Error(err)
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if _, err := theirs.Customer.Get(ctx); errors.Is(err, niyanta.ErrUnauthorized) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("a session that was ended is still good")
		}
	}

	system := must(admin.System(ctx))(t)
	if system.Leader.CoordinatorID == nil || !system.Database.IsConnected || !system.Broker.IsConnected || system.Workers[niyanta.WorkerHealthy] != 1 ||
		system.Slots != 8 || len(system.Queues) == 0 || len(system.Partitions) == 0 || len(system.Database.Pools) == 0 {
		t.Errorf("%+v", system)
	}
	if fairness := must(admin.Fairness(ctx))(t); fairness.Slots != 8 {
		t.Errorf("%+v", fairness)
	}
}
