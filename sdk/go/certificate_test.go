package niyanta

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
)

// writePEM writes parts of a certificate and its key into a file, and returns its name.
func writePEM(t *testing.T, of tls.Certificate, kinds ...string) string {
	t.Helper()
	key, err := x509.MarshalPKCS8PrivateKey(of.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	var text []byte
	for _, kind := range kinds {
		block := map[string][]byte{"CERTIFICATE": of.Certificate[0], "PRIVATE KEY": key}[kind]
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: block})...)
	}
	name := filepath.Join(t.TempDir(), "own.pem")
	if err := os.WriteFile(name, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestTheEnvironmentsCertificateIsShown(t *testing.T) {
	shown := ""
	secure := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		shown = r.TLS.PeerCertificates[0].Issuer.Organization[0]
		gives(200, `{}`)(w, r)
	}))
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	secure.StartTLS()
	t.Cleanup(secure.Close)
	authority := x509.NewCertPool()
	authority.AddCert(secure.Certificate())
	own := secure.TLS.Certificates[0]
	certificate, key := writePEM(t, own, "CERTIFICATE"), writePEM(t, own, "PRIVATE KEY")
	trusting := &tls.Config{RootCAs: authority}
	ask := func(certificate, key string, options ...Option) error {
		t.Setenv("NIYANTA_CLIENT_CERT", certificate)
		t.Setenv("NIYANTA_CLIENT_KEY", key)
		shown = ""
		options = append([]Option{WithBaseURL(secure.URL), WithTLSConfig(trusting), WithMaxRetries(0)}, options...)
		return second(NewClient(testKey, options...).Customer.Get(context.Background()))
	}
	if err := ask(certificate, key); err != nil || shown != "Acme Co" {
		t.Error(shown, err)
	}
	if err := ask(writePEM(t, own, "PRIVATE KEY", "CERTIFICATE"), ""); err != nil || shown != "Acme Co" {
		t.Error(shown, err)
	}
	if trusting.Certificates != nil {
		t.Error("the caller's own config was changed")
	}
	if err := ask("", ""); err == nil || errors.Is(err, ErrConfiguration) {
		t.Error(err)
	}
	for _, files := range [][2]string{{"", key}, {certificate, ""}, {"/nowhere", key}, {key, certificate}} {
		if err := ask(files[0], files[1]); !errors.Is(err, ErrConfiguration) {
			t.Error(files, err)
		}
	}
	// What the caller gives goes before it, and in the clear there is nobody to show it to.
	if err := ask("/nowhere", "", WithTLSConfig(&tls.Config{RootCAs: authority, Certificates: []tls.Certificate{own}})); err != nil {
		t.Error(err)
	}
	if err := ask("/nowhere", "", WithHTTPClient(secure.Client())); errors.Is(err, ErrConfiguration) {
		t.Error(err)
	}
	plain := newService(t)
	plain.on("GET /customer", gives(200, `{}`))
	if err := ask("/nowhere", "", WithBaseURL(plain.URL)); err != nil {
		t.Error(err)
	}
}
