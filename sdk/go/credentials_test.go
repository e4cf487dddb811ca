package niyanta

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// elsewhere has the test run in a folder of its own, with nothing about the service in the environment.
func elsewhere(t *testing.T) string {
	t.Setenv("NIYANTA_API_KEY", "")
	t.Setenv("NIYANTA_URL", "")
	folder, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	enter(t, folder)
	return folder
}

func enter(t *testing.T, folder string) {
	before, err := os.Getwd()
	if err == nil {
		err = os.Chdir(folder)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.Chdir(before); err != nil {
			t.Error(err)
		}
	})
}

func writeCredentials(t *testing.T, folder, content string) {
	err := os.MkdirAll(filepath.Join(folder, ".niyanta"), 0o700)
	if err == nil {
		err = os.WriteFile(filepath.Join(folder, ".niyanta", "credentials.json"), []byte(content), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestWhereAddressAndKeyComeFrom(t *testing.T) {
	const file = `{"base_url": "http://file", "api_key": "file_key", "admin_api_key": "file_admin", "grpc_target": "x"}`
	for _, row := range []struct {
		name                     string
		key, url, envKey, envURL string
		file                     string
		wantURL, want, wantAdmin string
	}{
		{name: "explicit", key: "k", url: "http://a", envKey: "e", envURL: "http://e", file: file, wantURL: "http://a", want: "k", wantAdmin: "k"},
		{name: "environment", envKey: "e", envURL: "https://e", file: file, wantURL: "https://e", want: "e", wantAdmin: "e"},
		{name: "file", file: file, wantURL: "http://file", want: "file_key", wantAdmin: "file_admin"},
		{name: "each by itself", url: "http://a", file: file, wantURL: "http://a", want: "file_key", wantAdmin: "file_admin"},
		{name: "an explicit key is the admin's too", key: "k", file: file, wantURL: "http://file", want: "k", wantAdmin: "k"},
		{name: "placeholder", key: "nyt_cust_abc123_...", file: file, wantURL: "http://file", want: "file_key", wantAdmin: "file_admin"},
		{name: "placeholder before the environment", key: "nyt_cust_abc123_...", envKey: "e", file: file, wantURL: "http://file", want: "e", wantAdmin: "e"},
		{name: "placeholder in the environment", envKey: "nyt_cust_abc123_...", file: file, wantURL: "http://file", want: "file_key", wantAdmin: "file_admin"},
		{name: "read from files", key: "k\n", url: " http://a\n", wantURL: "http://a", want: "k", wantAdmin: "k"},
		{name: "with /v1", key: "k", url: "http://a/v1/", wantURL: "http://a", want: "k", wantAdmin: "k"},
		{name: "below a path", key: "k", url: "http://a/niyanta/", wantURL: "http://a/niyanta", want: "k", wantAdmin: "k"},
		{name: "a file that can't be read is passed over", key: "k", url: "http://a", file: "{", wantURL: "http://a", want: "k", wantAdmin: "k"},
	} {
		t.Run(row.name, func(t *testing.T) {
			folder := elsewhere(t)
			t.Setenv("NIYANTA_API_KEY", row.envKey)
			t.Setenv("NIYANTA_URL", row.envURL)
			if row.file != "" {
				writeCredentials(t, folder, row.file)
			}
			below := filepath.Join(folder, "a", "b")
			if err := os.MkdirAll(below, 0o700); err != nil {
				t.Fatal(err)
			}
			enter(t, below)
			found := findCredentials(row.key, row.url)
			if found.err != nil || found.baseURL != row.wantURL || found.apiKey() != row.want || found.adminKey() != row.wantAdmin {
				t.Errorf("%+v", found)
			}
		})
	}
}

func TestNothingSaysWhereTheServiceIs(t *testing.T) {
	elsewhere(t)
	for _, address := range []string{"", "localhost:8080", "ftp://x", "http://", "http://a b", "://", "http://name:hunter2@a", "http://a?b=c", "http://a#b"} {
		client := NewClient("k", WithBaseURL(address))
		_, err := client.Customer.Get(context.Background())
		if !errors.Is(err, ErrConfiguration) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v", address, err)
		}
		for _, err := range client.Workloads.Watch(context.Background(), "wl_1", nil) {
			if !errors.Is(err, ErrConfiguration) {
				t.Errorf("%q: %v", address, err)
			}
		}
	}
}
