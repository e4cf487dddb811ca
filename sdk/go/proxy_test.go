package niyanta

import (
	"bufio"
	"context"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// askingThrough makes this test's program the client that TestTheEnvironmentsProxyAndAuthoritiesAreUsed starts, as the
// environment's proxy and authorities are read once in a process.
const askingThrough = "NIYANTA_TEST_ASK"

func TestMain(m *testing.M) {
	address := os.Getenv(askingThrough)
	if address == "" {
		os.Exit(m.Run())
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	found, err := NewClient("nyt_x", WithBaseURL(address), WithMaxRetries(0)).Workloads.Get(ctx, "wl_1")
	if err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
	fmt.Println(found.ID, found.Status)
	os.Exit(0)
}

// forward lets every name lead to the address, and sends on what it was asked for.
func forward(t *testing.T, address string, asked chan<- string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer connection.Close()
				request, err := http.ReadRequest(bufio.NewReader(connection))
				if err != nil {
					return
				}
				asked <- request.Method + " " + request.Host
				target, err := net.Dial("tcp", address)
				if err != nil {
					return
				}
				defer target.Close()
				io.WriteString(connection, "HTTP/1.1 200 OK\r\n\r\n")
				go io.Copy(target, connection)
				io.Copy(connection, target)
			}()
		}
	}()
	return "http://" + listener.Addr().String()
}

func TestTheEnvironmentsProxyAndAuthoritiesAreUsed(t *testing.T) {
	service := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"workload_id": "wl_1", "status": "PENDING", "version": 1}`)
	}))
	defer service.Close()
	bundle := filepath.Join(t.TempDir(), "authorities.pem")
	written := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: service.Certificate().Raw})
	if err := os.WriteFile(bundle, written, 0o600); err != nil {
		t.Fatal(err)
	}
	asked := make(chan string, 10)
	proxy := forward(t, service.Listener.Addr().String(), asked)
	ask := func(bundle string) string {
		t.Helper()
		command := exec.Command(os.Args[0])
		command.Env = append(os.Environ(), askingThrough+"=https://example.com", "HTTPS_PROXY="+proxy, "NO_PROXY=", "SSL_CERT_FILE="+bundle)
		told, _ := command.CombinedOutput()
		return string(told)
	}
	if told := ask(bundle); strings.TrimSpace(told) != "wl_1 PENDING" {
		t.Fatalf("said %q", told)
	}
	if first := <-asked; first != "CONNECT example.com:443" {
		t.Fatalf("the proxy was asked for %q", first)
	}
	if told := ask("/dev/null"); !strings.Contains(told, "certificate") {
		t.Fatalf("an authority that isn't known was trusted: %q", told)
	}
}
