package niyanta

import (
	"crypto/tls"
	"fmt"
	"os"
	"strings"
)

// showCertificate has the package's own HTTP client show the certificate that NIYANTA_CLIENT_CERT names, a file in PEM,
// to a service that asks for one. Its key is in that of NIYANTA_CLIENT_KEY, or in the same file.
func (s *settings) showCertificate(baseURL string) error {
	if s.ownTransport == nil || !strings.HasPrefix(baseURL, "https:") {
		return nil
	}
	config := s.ownTransport.TLSClientConfig
	if config != nil && (len(config.Certificates) > 0 || config.GetClientCertificate != nil) {
		return nil
	}
	certificate, key := os.Getenv("NIYANTA_CLIENT_CERT"), os.Getenv("NIYANTA_CLIENT_KEY")
	if certificate == "" {
		if key != "" {
			return fmt.Errorf("%w: NIYANTA_CLIENT_KEY needs NIYANTA_CLIENT_CERT beside it", ErrConfiguration)
		}
		return nil
	}
	found, err := tls.LoadX509KeyPair(certificate, firstGiven(key, certificate))
	if err != nil {
		return fmt.Errorf("%w: the certificate of NIYANTA_CLIENT_CERT can't be used: %w", ErrConfiguration, err)
	}
	if config == nil {
		config = &tls.Config{}
	}
	config.Certificates = []tls.Certificate{found}
	s.ownTransport.TLSClientConfig = config
	return nil
}
