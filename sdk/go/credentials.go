package niyanta

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// secret gives an API key when it is called, and shows an address when it is printed; fmt asks no String method of
// what is inside another value. nil is no key.
type secret func() string

func newSecret(apiKey string) secret {
	if apiKey == "" {
		return nil
	}
	return func() string { return apiKey }
}

// credentials say where the service is and who asks. Without err, all of it is there.
type credentials struct {
	baseURL  string // without /v1 and without a slash at the end
	apiKey   secret
	adminKey secret
	err      error
}

// devCredentials is what `niyanta dev` writes.
type devCredentials struct {
	BaseURL     string `json:"base_url"`
	APIKey      string `json:"api_key"`
	AdminAPIKey string `json:"admin_api_key"`
}

// findCredentials takes explicit values first, then the environment's, then the nearest .niyanta/credentials.json.
func findCredentials(apiKey, baseURL string) credentials {
	apiKey = firstGiven(withoutPlaceholder(apiKey), withoutPlaceholder(os.Getenv("NIYANTA_API_KEY")))
	adminKey := apiKey
	baseURL = firstGiven(strings.TrimSpace(baseURL), strings.TrimSpace(os.Getenv("NIYANTA_URL")))
	if apiKey == "" || baseURL == "" {
		found := readDevCredentials()
		adminKey = firstGiven(apiKey, found.AdminAPIKey)
		apiKey = firstGiven(apiKey, found.APIKey)
		baseURL = firstGiven(baseURL, found.BaseURL)
	}
	if baseURL == "" {
		return credentials{err: fmt.Errorf("%w: no service is named: use WithBaseURL, set NIYANTA_URL, or run `niyanta dev` "+
			"in this folder", ErrConfiguration)}
	}
	address, err := url.Parse(baseURL)
	if err != nil || (address.Scheme != "http" && address.Scheme != "https") || address.Host == "" {
		return credentials{err: fmt.Errorf("%w: %q is no http(s) address", ErrConfiguration, baseURL)}
	}
	if address.User != nil {
		return credentials{err: fmt.Errorf("%w: the address must not carry a name or password; give the key to NewClient", ErrConfiguration)}
	}
	if address.RawQuery != "" || address.Fragment != "" {
		return credentials{err: fmt.Errorf("%w: %q must end with its path: no ? and no #", ErrConfiguration, baseURL)}
	}
	if unprintable(apiKey) {
		return credentials{err: fmt.Errorf("%w: the API key has characters in it that no key has", ErrConfiguration)}
	}
	return credentials{
		baseURL:  strings.TrimSuffix(strings.TrimRight(baseURL, "/"), "/v1"),
		apiKey:   newSecret(apiKey),
		adminKey: newSecret(adminKey),
	}
}

func firstGiven(values ...string) string {
	for _, value := range values {
		if value != "" {
			return value
		}
	}
	return ""
}

// withoutPlaceholder returns "" for a key as the documentation prints it: no real one ends in dots. A key that was read
// from a file may have a line end.
func withoutPlaceholder(apiKey string) string {
	apiKey = strings.TrimSpace(apiKey)
	if strings.HasSuffix(apiKey, "...") {
		return ""
	}
	return apiKey
}

// unprintable reports whether a text can't be the value of a header.
func unprintable(text string) bool {
	return strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f })
}

func readDevCredentials() (found devCredentials) {
	folder, err := os.Getwd()
	if err != nil {
		return found
	}
	for {
		data, err := os.ReadFile(filepath.Join(folder, ".niyanta", "credentials.json"))
		if err == nil && json.Unmarshal(data, &found) == nil {
			return found
		}
		parent := filepath.Dir(folder)
		if parent == folder {
			return devCredentials{}
		}
		folder = parent
	}
}
